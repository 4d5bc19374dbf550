// Promise: a record that cannot be used ends in the dead-letter topic with its reason, once per group, and its partition moves on.
import { randomBytes } from 'node:crypto';
import avro from 'avsc';
import kafkajs, { type Producer } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import { waitUntilCaughtUp } from '#infra/system/caught-up.ts';
import { runTraffic, sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';
import type { EventBody } from '#producers/workload-client/workload-port.ts';
import type { AssignmentRecord, DeadLetterRecord, EventRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { inNamespace, topics } from '#schemas/topics.ts';
import { sampleEvent, sampleExperiment, storeSampleExperiment } from '#tests/support/events.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import {
  compareWithRecount,
  findArchiveGaps,
  readArchive,
  readLogEnds,
  readPositions,
  readStoredEvents,
} from '#tests/support/stored-events.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';

type Poison = {
  readonly name: string;
  readonly value: Buffer | null;
  readonly stage: string;
  readonly reason: string;
  readonly error: RegExp;
  /** Groups that cannot use it; all of them when absent. */
  readonly groups?: readonly string[];
};

const { Kafka, logLevel } = kafkajs;
const groups: readonly string[] = topics.events.groups;

let run: TestSystem;
let producer: Producer;

beforeAll(async () => {
  run = await startTestSystem({
    'postgres-sink': 1,
    'parquet-archiver': 1,
    'metrics-aggregator': 1,
    'dataset-builder': 1,
  });
  await storeSampleExperiment(run.database.pool);
  producer = new Kafka({ brokers: [...stackEndpoints().kafka.brokers], logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
});
afterAll(async () => {
  await producer?.disconnect();
  await run?.stop();
});

function toRecord(body: EventBody): EventRecord {
  return {
    ...sampleEvent({ event_id: body.event_id, event_type: body.event_type, unit_type: body.unit_type }),
    unit_id: body.unit_id,
    experiments: [],
    context: { ...body.context },
    metrics: { ...body.metrics },
    payload: body.payload === undefined ? null : JSON.stringify(body.payload),
    event_time: Date.parse(body.timestamp),
  };
}

async function makePoison(encode: (event: EventRecord) => Buffer): Promise<Poison[]> {
  const unknownId = encode(sampleEvent());
  unknownId.writeInt32BE(2_000_000_001, 1);
  const whole = encode(sampleEvent());
  const otherSchema = (await run.topics.encoder<AssignmentRecord>('assignments'))({
    experiment_id: sampleExperiment.id,
    experiment_key: 'poison',
    unit_type: 'user',
    unit_id: 'unit-1',
    variant_id: sampleExperiment.variants[0],
    variant_name: 'control',
    hash_bucket: 1,
    experiment_version: 1,
    probability: 0.5,
    enrolment_share: 1,
    source: 'hashed',
    assigned_at: 0,
    revision: 1,
  });
  return [
    // A first byte that is not the magic one, then anything.
    {
      name: 'random bytes',
      value: Buffer.concat([Buffer.from([0xff]), randomBytes(200)]),
      stage: 'decode',
      reason: 'undecodable',
      error: /magic byte/,
    },
    { name: 'no value', value: null, stage: 'decode', reason: 'undecodable', error: /null/ },
    {
      name: 'unknown schema id',
      value: unknownId,
      stage: 'decode',
      reason: 'unknown-schema',
      error: /no schema with id 2000000001/,
    },
    {
      name: 'truncated Avro',
      value: whole.subarray(0, whole.length - 20),
      stage: 'decode',
      reason: 'undecodable',
      error: /do not fit schema/,
    },
    {
      name: 'framed random bytes',
      value: Buffer.concat([whole.subarray(0, 5), Buffer.alloc(64, 0xff)]),
      stage: 'decode',
      reason: 'undecodable',
      error: /do not fit schema/,
    },
    {
      name: 'schema of another topic',
      value: otherSchema,
      stage: 'decode',
      reason: 'schema-invalid',
      error: /cannot be read as/,
    },
    {
      name: 'metric that is not finite',
      value: encode(sampleEvent({ metrics: { revenue: Number.NaN } })),
      stage: 'validate',
      reason: 'rule-violated',
      error: /^metrics\.revenue must be a finite number$/,
    },
    {
      name: 'event time before all time',
      value: encode(sampleEvent({ event_time: Date.UTC(1999, 0, 1) })),
      stage: 'validate',
      reason: 'rule-violated',
      error: /^event_time must be between/,
    },
    {
      name: 'payload that is not JSON',
      value: encode(sampleEvent({ payload: '{' })),
      stage: 'validate',
      reason: 'rule-violated',
      error: /^payload must be JSON text$/,
    },
    {
      name: 'plan without its documented shape',
      value: encode(sampleEvent({ event_type: 'plan_generated', payload: '{}', metrics: {} })),
      stage: 'sink',
      reason: 'rule-violated',
      error: /^payload/,
      groups: ['dataset-builder'],
    },
  ];
}

test('poison in every partition is dead-lettered by every group, and the good records around it arrive', async () => {
  const encode = await run.topics.encoder<EventRecord>('events');
  const poison = await makePoison(encode);
  const plans = runTraffic({ world: sampleWorld({ households: 6, days: 7 }), assign: () => [] }).map(toRecord);
  const good = [
    ...plans,
    ...Array.from({ length: 600 }, (_, index) =>
      sampleEvent({ unit_id: `unit-${index}`, metrics: { revenue: index } }),
    ),
  ];
  // Each partition: good records, and among them every kind of poison, also first and last of the partition.
  const expectedLetters: string[] = [];
  const usable: string[] = [];
  for (let partition = 0; partition < topics.events.partitions; partition += 1) {
    const own = good.filter((_, index) => index % topics.events.partitions === partition);
    const share = Math.ceil(own.length / (poison.length - 1));
    const records = poison.flatMap((entry, position) => [
      { value: entry.value, key: 'poison', poison: entry as Poison | null },
      ...own
        .slice(position * share, (position + 1) * share)
        .map((event) => ({ value: encode(event), key: eventKeyOf(event), poison: null })),
    ]);
    usable.push(
      ...own.map(({ event_id, event_time }) => `${event_id}/${new Date(event_time).toISOString().slice(0, 10)}`),
    );
    await producer.send({
      topic: run.topics.name('events'),
      acks: -1,
      messages: records.map(({ key, value }) => ({ partition, key, value, headers: { origin: 'test' } })),
    });
    for (const [offset, record] of records.entries()) {
      if (record.poison === null) continue;
      for (const group of record.poison.groups ?? groups)
        expectedLetters.push([group, partition, offset, record.poison.stage, record.poison.reason].join(' '));
      if (record.poison.groups !== undefined) {
        const event = avro.Type.forSchema(loadRecordSchema('event')).fromBuffer(
          record.value!.subarray(5),
        ) as EventRecord;
        usable.push(`${event.event_id}/${new Date(event.event_time).toISOString().slice(0, 10)}`);
      }
    }
  }
  await waitUntilCaughtUp({ kafka: run.topics.kafka, pool: run.database.pool, namespace: run.topics.namespace });
  expect(run.unexpectedEnds).toEqual([]);

  const letterType = avro.Type.forSchema(loadRecordSchema('deadLetter'));
  const letters = (await run.topics.readAll('eventsDeadLetter')).map(
    ({ value }) => letterType.fromBuffer(value!.subarray(5)) as DeadLetterRecord,
  );
  const groupOf = (letter: DeadLetterRecord): string => letter.group_id.slice(run.topics.namespace.length + 1);
  expect(
    letters
      .map((letter) =>
        [groupOf(letter), letter.source_partition, letter.source_offset, letter.stage, letter.reason].join(' '),
      )
      .sort(),
  ).toEqual(expectedLetters.sort());
  // The same record, as it was: found by its place, compared byte for byte, with an explanation that names the fault.
  const source = new Map(
    (await run.topics.readAll('events')).map((record) => [`${record.partition}/${record.offset}`, record]),
  );
  for (const letter of letters) {
    const record = source.get(`${letter.source_partition}/${letter.source_offset}`)!;
    const kind = poison.find(({ value }) => (value === null ? record.value === null : record.value?.equals(value)))!;
    expect(letter.error, kind.name).toMatch(kind.error);
    expect(letter.value === null ? null : Buffer.from(letter.value), kind.name).toEqual(kind.value);
    expect(letter.key === null ? null : Buffer.from(letter.key).toString()).toBe('poison');
    expect(letter.headers.map(({ name, value }) => [name, Buffer.from(value).toString()])).toEqual([
      ['origin', 'test'],
    ]);
    expect(letter.source_timestamp).toBe(record.timestampMs);
  }

  const { pool } = run.database;
  const ends = await readLogEnds(run.topics.kafka, run.topics.namespace);
  for (const group of groups)
    expect(await readPositions(pool, inNamespace(group, run.topics.namespace)), group).toEqual(ends);
  // The unusable plan is a good event for the other groups, and the same one in every partition: it counts once.
  const expected = [...new Set(usable)].sort();
  expect(await readStoredEvents(pool)).toEqual(expected);
  expect((await readArchive(pool, run.objectStore)).events).toEqual(expected);
  expect(await findArchiveGaps(pool, ends)).toEqual([]);
  for (const [table, { different }] of Object.entries(await compareWithRecount(pool)))
    expect(different, table).toEqual([]);
  const counted = await pool.query<{ count: bigint }>(
    `SELECT sum(count)::bigint AS count FROM exp.metric_aggregates WHERE metric_name = 'revenue' AND granularity = 'day'`,
  );
  expect(counted.rows[0]!.count).toBe(600n);
  const rows = await pool.query<{ count: bigint }>(
    'SELECT count(*) AS count FROM exp.training_rows WHERE request IS NOT NULL',
  );
  expect(rows.rows[0]!.count).toBe(BigInt(plans.filter(({ event_type }) => event_type === 'plan_generated').length));
});
