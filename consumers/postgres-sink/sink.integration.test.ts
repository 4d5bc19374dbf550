// The postgres-sink against real Kafka, registry and Postgres: every record ends as a row, a duplicate or a dead letter.
import { randomBytes, randomUUID } from 'node:crypto';
import avro from 'avsc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEventParser } from '#domain/event/decode-event.ts';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import type { DeadLetterRecord, EventRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { topics } from '#schemas/topics.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { sampleEvent, sampleExperiment } from '#tests/support/events.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { metricValue, startTestMember, type TestMember } from '#tests/support/member.ts';
import { until } from '#tests/support/poll.ts';
import { createAssignmentLookup } from './assignment-lookup.ts';
import { createPostgresSink } from './sink.ts';

const limits = { earliestMs: Date.UTC(2015, 0, 1), maxAheadMs: 3_600_000 };
let database: TestDatabase;
let kafka: TestTopics;
let encode: (event: EventRecord) => Buffer;
const members: TestMember[] = [];

const startMember = async (): Promise<TestMember> => {
  const pool = database.poolAs('postgres_sink');
  const member = await startTestMember({
    namespace: kafka.namespace,
    groupId: 'postgres-sink',
    topic: topics.events,
    deadLetterTopic: topics.eventsDeadLetter,
    pool,
    parse: createEventParser(limits),
    sink: createPostgresSink({ pool, assignments: createAssignmentLookup() }),
  });
  members.push(member);
  return member;
};

const send = (events: readonly EventRecord[]): Promise<void> =>
  kafka.producer().send(
    kafka.name('events'),
    events.map((event) => ({ key: eventKeyOf(event), value: encode(event) })),
  );

const positionsSum = async (): Promise<bigint> =>
  (
    await database.pool.query<{ sum: bigint }>(
      'SELECT coalesce(sum(next_offset), 0)::bigint AS sum FROM exp.consumer_offsets',
    )
  ).rows[0]!.sum;

beforeAll(async () => {
  [database, kafka] = await Promise.all([createTestDatabase(), createTestTopics(['events', 'eventsDeadLetter'])]);
  encode = await kafka.encoder<EventRecord>('events');
  await startMember();
});

afterAll(async () => {
  await Promise.all(members.map((member) => member.stop()));
  await kafka.drop();
  await database.drop();
});

describe('postgres-sink', () => {
  it('writes every field of an event as it was sent', async () => {
    const event = sampleEvent({
      unit_id: 'tab\tnewline\nback\\slash "quoted" ünï 🎯',
      context: { text: 'a\tb\\n', number: 1.5, nothing: null, flag: false },
      payload: '{"text":"tab\\tnewline\\nquote\\""}',
      event_time: Date.UTC(2019, 10, 24, 23, 59, 59, 999),
    });
    await send([event]);
    const row = await until(
      'the row',
      async () => (await database.pool.query('SELECT * FROM exp.events WHERE event_id = $1', [event.event_id])).rows[0],
    );
    expect(row).toMatchObject({
      event_date: '2019-11-24',
      unit_id: event.unit_id,
      experiments: event.experiments,
      context: event.context,
      metrics: event.metrics,
      payload: JSON.parse(event.payload!),
      mismatched_experiment_ids: null,
    });
    expect((row.event_time as Date).getTime()).toBe(event.event_time);
    expect((row.created_at as Date).getTime()).toBe(event.ingest_time);
  });

  it('counts an event once per day and dead-letters other content under the same identity', async () => {
    const beforeMidnight = sampleEvent({ event_time: Date.UTC(2026, 8, 30, 23, 59, 59, 999) });
    const afterMidnight = { ...beforeMidnight, event_time: Date.UTC(2026, 9, 1) };
    const conflict = { ...beforeMidnight, metrics: { revenue: 99 } };
    await send([
      beforeMidnight,
      { ...beforeMidnight, ingest_time: beforeMidnight.ingest_time + 5_000, producer: 'retry' },
      afterMidnight,
    ]);
    await until(
      'both days',
      async () =>
        (await database.pool.query('SELECT 1 FROM exp.events WHERE event_id = $1', [beforeMidnight.event_id]))
          .rowCount === 2,
    );
    await send([conflict]);
    const letter = await until('the dead letter', async () =>
      (await readDeadLetters()).find(({ event_id }) => event_id === conflict.event_id),
    );
    expect(letter).toMatchObject({ reason: 'conflict', stage: 'sink', group_id: `${kafka.namespace}.postgres-sink` });
    const rows = await database.pool.query('SELECT metrics FROM exp.events WHERE event_id = $1', [conflict.event_id]);
    expect(rows.rows.map(({ metrics }) => metrics)).toEqual([{ revenue: 12.5 }, { revenue: 12.5 }]);
  });

  it('sends each kind of bad record to the dead-letter topic with its reason and moves on', async () => {
    const good = sampleEvent();
    const unknownId = Buffer.from(encode(good));
    unknownId.writeInt32BE(2_000_000_000, 1);
    const bad: [Buffer | null, string][] = [
      [randomBytes(40), 'undecodable'],
      [null, 'undecodable'],
      [unknownId, 'unknown-schema'],
      [encode(good).subarray(0, 30), 'undecodable'],
      [encode({ ...good, event_id: 'not-a-uuid' }), 'rule-violated'],
      [encode({ ...good, event_id: randomUUID(), metrics: { revenue: Number.NaN } }), 'rule-violated'],
      [encode({ ...good, event_id: randomUUID(), event_time: Date.UTC(2500, 0, 1) }), 'rule-violated'],
      // Every rule of ours holds, but Postgres cannot hold a number of this size: only the row itself is given up.
      [encode({ ...good, event_id: randomUUID(), payload: '1e999999' }), 'poison'],
    ];
    bad[0]![0]![0] = 7;
    const key = eventKeyOf(good);
    await kafka
      .producer()
      .send(kafka.name('events'), [...bad.map(([value]) => ({ key, value })), { key, value: encode(good) }]);
    await until(
      'the good record behind the bad ones',
      async () =>
        (await database.pool.query('SELECT 1 FROM exp.events WHERE event_id = $1', [good.event_id])).rowCount === 1,
    );
    const letters = (await readDeadLetters()).filter(({ key: original }) => original?.toString() === key);
    const byOffset = letters
      .filter(({ reason }) => reason !== 'conflict')
      .sort((a, b) => a.source_offset - b.source_offset);
    expect(byOffset.map(({ reason }) => reason)).toEqual(bad.map(([, reason]) => reason));
    expect(byOffset.map(({ value }) => value)).toEqual(bad.map(([value]) => value));
  });

  it('flags events whose variant contradicts the stored assignment', async () => {
    const { id, variants } = sampleExperiment;
    await database.pool.query(
      `INSERT INTO exp.experiments (id, key, name, unit_type, status) VALUES ($1, 'flagging', 'Flagging', 'user', 'running')`,
      [id],
    );
    await database.pool.query(
      `INSERT INTO exp.variants (id, experiment_id, name, allocation, position) SELECT v, $1, v::text, 5000, p FROM unnest($2::uuid[]) WITH ORDINALITY AS t (v, p)`,
      [id, variants],
    );
    await database.pool.query(
      `INSERT INTO exp.assignments (experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version, probability, enrolment_share, source)
       VALUES ($1, 'assigned', 'user', $2, 1, 1, 0.5, 1, 'hashed')`,
      [id, variants[1]],
    );
    const wrong = sampleEvent({ unit_id: 'assigned' });
    const right = sampleEvent({ unit_id: 'assigned', experiments: [{ experiment_id: id, variant_id: variants[1] }] });
    await send([wrong, right]);
    const rows = await until('both rows', async () => {
      const found = await database.pool.query(
        `SELECT event_id, assignment_mismatch FROM exp.event_variants WHERE unit_id = 'assigned'`,
      );
      return found.rowCount === 2 && found.rows;
    });
    expect(Object.fromEntries(rows.map((row) => [row.event_id, row.assignment_mismatch]))).toEqual({
      [wrong.event_id]: true,
      [right.event_id]: false,
    });
  });

  it('accounts for every record when a second member joins and leaves under load', async () => {
    const positionsBefore = await positionsSum();
    const events = Array.from({ length: 6_000 }, (_, index) => sampleEvent({ unit_id: `load-${index % 300}` }));
    await send(events.slice(0, 2_000));
    const second = await startMember();
    await send(events.slice(2_000, 4_000));
    await until(
      'partitions on the second member',
      async () => (await metricValue(second.metrics, 'consumer_partitions')) > 0,
    );
    await send(events.slice(4_000));
    await second.stop();
    members.pop();
    await until(
      'all rows',
      async () =>
        (await database.pool.query(`SELECT 1 FROM exp.events WHERE unit_id LIKE 'load-%'`)).rowCount === 6_000,
    );
    await until('the positions', async () => (await positionsSum()) - positionsBefore === 6_000n);
    const outcomes = { written: 0, duplicate: 0, dead_lettered: 0 };
    let consumed = 0;
    for (const { metrics, failures } of [...members, second]) {
      expect(failures).toEqual([]);
      consumed += await metricValue(metrics, 'consumer_consumed_records_total');
      for (const outcome of Object.keys(outcomes) as (keyof typeof outcomes)[])
        outcomes[outcome] += await metricValue(metrics, 'consumer_records_total', { outcome });
      expect(await metricValue(metrics, 'consumer_misplaced_records_total')).toBe(0);
    }
    expect(outcomes.written + outcomes.duplicate + outcomes.dead_lettered).toBe(consumed);
    expect(BigInt(consumed)).toBe(await positionsSum());
  });
});

async function readDeadLetters(): Promise<DeadLetterRecord[]> {
  const type = avro.Type.forSchema(loadRecordSchema('deadLetter'));
  return (await kafka.readAll('eventsDeadLetter')).map(
    ({ value }) => type.fromBuffer(value!.subarray(5)) as DeadLetterRecord,
  );
}
