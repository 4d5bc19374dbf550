// kafkajs as we use it against real Kafka: it reads what it writes with every codec, and an idle connection is idle.
import { setTimeout as delay } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';

let kafka: TestTopics;

beforeAll(async () => {
  kafka = await createTestTopics(['assignments']);
});
afterAll(() => kafka.drop());

const codecs = ['GZIP', 'LZ4', 'Snappy', 'ZSTD'] as const;

it.each(codecs)('reads what it wrote with %s', async (codec) => {
  const producer = kafka.kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await producer.connect();
  const value = `${codec} `.repeat(500);
  await producer.send({
    topic: kafka.name('assignments'),
    compression: kafkajs.CompressionTypes[codec],
    messages: [{ key: codec, value }],
  });
  await producer.disconnect();
  const found = (await kafka.readAll('assignments')).find(({ key }) => key?.toString() === codec);
  expect(found?.value?.toString()).toBe(value);
});

it('does not spin while a connection is idle', async () => {
  const admin = kafka.kafka.admin();
  await admin.connect();
  await admin.listTopics();
  const original = globalThis.setTimeout;
  const warnings: string[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning.name);
  process.on('warning', onWarning);
  let timers = 0;
  globalThis.setTimeout = Object.assign((...args: Parameters<typeof original>) => {
    timers += 1;
    return original(...args);
  }, original) as typeof original;
  try {
    await delay(500);
  } finally {
    globalThis.setTimeout = original;
    process.off('warning', onWarning);
    await admin.disconnect();
  }
  // Without the guard about 1,300 in half a second.
  expect(timers).toBeLessThan(20);
  expect(warnings).not.toContain('TimeoutNegativeWarning');
});
