// Promise: streaming aggregates equal a batch recount of the stored events, whatever the order, the repeats and the members.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createAggregateStore } from '#consumers/metrics-aggregator/aggregate-store-postgres.ts';
import { createExposureRules } from '#consumers/metrics-aggregator/exposure-rules.ts';
import { createKnownExposures } from '#consumers/metrics-aggregator/known-exposures.ts';
import { createMetricsAggregatorSink } from '#consumers/metrics-aggregator/sink.ts';
import { createAssignmentLookup } from '#consumers/postgres-sink/assignment-lookup.ts';
import { createPostgresSink } from '#consumers/postgres-sink/sink.ts';
import { createEventParser } from '#domain/event/decode-event.ts';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { topics } from '#schemas/topics.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { startTestMember, type TestMember } from '#tests/support/member.ts';
import { until } from '#tests/support/poll.ts';
import { compareWithRecount } from '#tests/support/stored-events.ts';

const experiments = ['explicit', 'implicit'].map((exposure, index) => ({
  exposure,
  id: `5b7f3b0e-1a55-5d0c-9c1e-00000000010${index}`,
  variants: [`5b7f3b0e-1a55-5d0c-9c1e-00000000020${index}`, `5b7f3b0e-1a55-5d0c-9c1e-00000000030${index}`],
}));
const seed = 20_261_124;
const eventCount = 4_000;

let database: TestDatabase;
let kafka: TestTopics;
const members: TestMember[] = [];

beforeAll(async () => {
  [database, kafka] = await Promise.all([createTestDatabase(), createTestTopics(['events', 'eventsDeadLetter'])]);
  for (const { id, exposure, variants } of experiments) {
    await database.pool.query(
      `INSERT INTO exp.experiments (id, key, name, unit_type, status, exposure) VALUES ($1, $2, $2, 'user', 'running', $2)`,
      [id, exposure],
    );
    await database.pool.query(
      `INSERT INTO exp.variants (id, experiment_id, name, allocation, position)
       SELECT v, $1, v::text, 5000, p FROM unnest($2::uuid[]) WITH ORDINALITY AS t (v, p)`,
      [id, variants],
    );
  }
});

afterAll(async () => {
  await Promise.all(members.map((member) => member.stop()));
  await kafka.drop();
  await database.drop();
});

async function startMember(groupId: 'postgres-sink' | 'metrics-aggregator'): Promise<void> {
  const pool = database.poolAs(groupId === 'postgres-sink' ? 'postgres_sink' : 'metrics_aggregator');
  const sink =
    groupId === 'postgres-sink'
      ? createPostgresSink({ pool, assignments: createAssignmentLookup() })
      : createMetricsAggregatorSink({
          pool,
          store: createAggregateStore({ consumerGroup: groupId }),
          exposureRules: createExposureRules({ pool, now: Date.now }),
          knownExposures: createKnownExposures(1_000),
        });
  members.push(
    await startTestMember({
      namespace: kafka.namespace,
      groupId,
      topic: topics.events,
      deadLetterTopic: topics.eventsDeadLetter,
      pool,
      parse: createEventParser({ earliestMs: Date.UTC(2015, 0, 1), maxAheadMs: 3_600_000 }),
      sink,
      flush: { maxRecords: 100 },
    }),
  );
}

/** Events around two midnights in random order, some repeated, some before their unit's exposure, with every kind of value. */
function randomEvents(): EventRecord[] {
  const value = fc.oneof(
    fc.constant(0),
    fc.double({ min: -1_000, max: 1_000, noNaN: true }),
    fc.double({ min: 1e-12, max: 1e9, noNaN: true }),
  );
  const event = fc
    .record({
      id: fc.uuid(),
      unit: fc.integer({ min: 0, max: 200 }),
      experiment: fc.constantFrom(...experiments),
      variant: fc.integer({ min: 0, max: 1 }),
      type: fc.constantFrom('exposure', 'purchase', 'purchase', 'purchase'),
      minute: fc.integer({ min: -900, max: 2_500 }),
      values: fc.dictionary(fc.constantFrom('revenue', 'latency_ms', 'clicks'), value, { maxKeys: 3 }),
    })
    .map(({ id, unit, experiment, variant, type, minute, values }) =>
      sampleEvent({
        event_id: id,
        event_type: type,
        unit_id: `unit-${unit}`,
        experiments: [{ experiment_id: experiment.id, variant_id: experiment.variants[variant]! }],
        metrics: { ...values },
        event_time: Date.UTC(2026, 9, 1) + minute * 60_000,
      }),
    );
  const events = fc.sample(event, { seed, numRuns: eventCount });
  return events.flatMap((entry, index) =>
    index % 7 === 0 ? [entry, { ...entry, ingest_time: entry.ingest_time + 1 }] : [entry],
  );
}

it('two members of each group give the rows of the recount', async () => {
  await Promise.all([startMember('postgres-sink'), startMember('metrics-aggregator')]);
  const events = randomEvents();
  const encode = await kafka.encoder<EventRecord>('events');
  const producer = kafka.producer();
  const send = (part: readonly EventRecord[]): Promise<void> =>
    producer.send(
      kafka.name('events'),
      part.map((event) => ({ key: eventKeyOf(event), value: encode(event) })),
    );
  await send(events.slice(0, 1_500));
  await Promise.all([startMember('postgres-sink'), startMember('metrics-aggregator')]);
  for (let start = 1_500; start < events.length; start += 500) await send(events.slice(start, start + 500));
  await until(
    'both groups at the end',
    async () => {
      const positions = await database.pool.query<{ sum: bigint }>(
        'SELECT sum(next_offset)::bigint AS sum FROM exp.consumer_offsets GROUP BY consumer_group',
      );
      // A member that failed would be waited for in vain: what follows shows its failure.
      if (members.some(({ failures }) => failures.length > 0)) return true;
      return positions.rows.length === 2 && positions.rows.every(({ sum }) => sum === BigInt(events.length));
    },
    { deadlineMs: 90_000 },
  );
  for (const { failures } of members) expect(failures).toEqual([]);

  const stored = await database.pool.query<{ count: bigint }>('SELECT count(*) AS count FROM exp.events');
  expect(stored.rows[0]!.count).toBe(BigInt(eventCount));
  for (const [table, { rows, different }] of Object.entries(await compareWithRecount(database.pool))) {
    expect(different, table).toEqual([]);
    expect(rows, `${table} has rows`).toBeGreaterThan(0);
  }
});
