// The examples of both languages as they are run: their events are the same event, in one partition, and keep every rule.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEventParser } from '#domain/event/decode-event.ts';
import { createAvroDecoder } from '#platform/kafka/avro-codec.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { pythonOf } from '#tests/support/python-venv.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

const pathOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const run = promisify(execFile);

let topics: TestTopics;
let environment: Record<string, string>;

beforeAll(async () => {
  topics = await createTestTopics(['events']);
  const { kafka, schemaRegistry } = stackEndpoints();
  environment = {
    PATH: process.env.PATH ?? '',
    KAFKA_BROKERS: kafka.brokers.join(','),
    SCHEMA_REGISTRY_URL: schemaRegistry.url,
    KAFKA_NAMESPACE: topics.namespace,
  };
});
afterAll(() => topics?.drop());

test('a service in TypeScript and one in Python write the same event for the same order', {
  timeout: 240_000,
}, async () => {
  const python = await pythonOf(pathOf('requirements.txt'));
  const commands: [string, string][] = [
    [process.execPath, 'main.ts'],
    [python, 'send_event.py'],
  ];
  const order = ['usuário-7', 'order-7', '2026-02-03T04:05:06+01:00'];
  const said: string[] = [];
  for (const [program, script] of commands) {
    const { stdout } = await run(program, [pathOf(script), ...order], { env: environment });
    said.push(stdout);
  }
  expect(said[0]).toMatch(/^acknowledged [0-9a-f-]{36}\n$/);
  expect(said[1]).toBe(said[0]);

  const records = await topics.readAll('events');
  expect(records.map(({ key }) => key?.toString())).toEqual(['user:usuário-7', 'user:usuário-7']);
  expect(new Set(records.map(({ partition }) => partition)).size).toBe(1);
  const decoder = createAvroDecoder<EventRecord>({
    registry: topics.registry,
    readerSchema: loadRecordSchema('event'),
    parse: createEventParser({ earliestMs: Date.UTC(2015, 0, 1), maxAheadMs: 3_600_000 }),
    maxValueBytes: 1_000_000,
  });
  const sources = records.map((record) => ({ ...record, topic: topics.name('events'), headers: {} }));
  await decoder.prepare(sources);
  const events = sources.map((source) => decoder.decode(source));
  for (const event of events) expect(event).toMatchObject({ ok: true });
  const [typescript, other] = events.map((event) => (event.ok ? event.value : null));
  expect({ ...other, producer: '', ingest_time: 0 }).toEqual({ ...typescript, producer: '', ingest_time: 0 });
  expect(typescript?.event_time).toBe(Date.UTC(2026, 1, 3, 3, 5, 6));
});

test.each(['main.ts', 'send_event.py'])('%s says what is not set', async (script) => {
  const program = script.endsWith('.py') ? await pythonOf(pathOf('requirements.txt')) : process.execPath;
  const { KAFKA_BROKERS: _, SCHEMA_REGISTRY_URL: __, ...rest } = environment;
  await expect(run(program, [pathOf(script)], { env: rest })).rejects.toMatchObject({
    stderr: expect.stringContaining('SCHEMA_REGISTRY_URL'),
  });
});
