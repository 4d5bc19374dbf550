// The dataset-builder against real Kafka, registry and Postgres: plans and reactions meet in one row, in whatever order they arrive.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sampleFeedbackPayload, sampleGeneratedPayload, samplePlanEvent } from '#domain/dataset/dataset-samples.ts';
import { createEventParser } from '#domain/event/decode-event.ts';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import { planOf } from '#domain/planning/planning-samples.ts';
import { createAvroDecoder } from '#platform/kafka/avro-codec.ts';
import type { DeadLetterRecord, EventRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { topics } from '#schemas/topics.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { metricValue, startTestMember, type TestMember } from '#tests/support/member.ts';
import { until } from '#tests/support/poll.ts';
import { createTrainingRowsSink } from './sink.ts';

const limits = { earliestMs: Date.UTC(2015, 0, 1), maxAheadMs: 3_600_000 };
const experimentId = '5b7f3b0e-1a55-5d0c-9c1e-0000000000e1';
const variantIds = ['5b7f3b0e-1a55-5d0c-9c1e-0000000000a1', '5b7f3b0e-1a55-5d0c-9c1e-0000000000a2'] as const;
const policyVersionId = '5b7f3b0e-1a55-5d0c-9c1e-0000000000c1';
const at = (minute: number) => Date.UTC(2026, 0, 4, 10, minute);

let database: TestDatabase;
let kafka: TestTopics;
let encode: (event: EventRecord) => Buffer;
const members: TestMember[] = [];

const startMember = async (): Promise<TestMember> => {
  const member = await startTestMember({
    namespace: kafka.namespace,
    groupId: 'dataset-builder',
    topic: topics.events,
    deadLetterTopic: topics.eventsDeadLetter,
    pool: database.poolAs('dataset_builder'),
    parse: createEventParser(limits),
    sink: createTrainingRowsSink(),
  });
  members.push(member);
  return member;
};

/** Sends to the partition of `key`, which tests choose freely: pairing must not depend on it. */
const send = (events: readonly EventRecord[], key?: string): Promise<void> =>
  kafka.producer().send(
    kafka.name('events'),
    events.map((event) => ({ key: key ?? eventKeyOf(event), value: encode(event) })),
  );

const consumed = async (): Promise<bigint> =>
  (
    await database.pool.query<{ sum: bigint }>(
      'SELECT coalesce(sum(next_offset), 0)::bigint AS sum FROM exp.consumer_offsets',
    )
  ).rows[0]!.sum;

const outcomes = async () => {
  const counts = { written: 0, duplicate: 0, dead_lettered: 0 };
  for (const { metrics } of members) {
    for (const outcome of Object.keys(counts) as (keyof typeof counts)[])
      counts[outcome] += await metricValue(metrics, 'consumer_records_total', { outcome });
  }
  return counts;
};

/** Sends, waits until all is consumed, and says how the records ended. */
const settle = async (sends: readonly (readonly [EventRecord, string?])[]) => {
  const [positionBefore, before] = [await consumed(), await outcomes()];
  for (const [event, key] of sends) await send([event], key);
  const end = positionBefore + BigInt(sends.length);
  const failures = () => members.flatMap((member) => member.failures);
  await until('all records', async () => failures().length > 0 || (await consumed()) === end);
  expect(failures()).toEqual([]);
  const total = (counts: typeof before) => counts.written + counts.duplicate + counts.dead_lettered;
  const after = await until('the counters', async () => {
    const now = await outcomes();
    return total(now) - total(before) === sends.length && now;
  });
  return {
    written: after.written - before.written,
    duplicate: after.duplicate - before.duplicate,
    dead_lettered: after.dead_lettered - before.dead_lettered,
  };
};

const rowOf = async (planId: string) =>
  (await database.pool.query('SELECT * FROM exp.training_rows WHERE plan_id = $1', [planId])).rows[0];

beforeAll(async () => {
  [database, kafka] = await Promise.all([createTestDatabase(), createTestTopics(['events', 'eventsDeadLetter'])]);
  encode = await kafka.encoder<EventRecord>('events');
  await database.pool.query(
    `INSERT INTO exp.experiments (id, key, name, unit_type) VALUES ($1, 'planner', 'Planner', 'household')`,
    [experimentId],
  );
  await database.pool.query(
    `INSERT INTO exp.variants (id, experiment_id, name, allocation, position, config)
     VALUES ($1, $3, 'control', 5000, 0, '{}'), ($2, $3, 'candidate', 5000, 1, jsonb_build_object('policy_version_id', $4::text))`,
    [...variantIds, experimentId, policyVersionId],
  );
  await Promise.all([startMember(), startMember()]);
});

afterAll(async () => {
  await Promise.all(members.map((member) => member.stop()));
  await kafka.drop();
  await database.drop();
});

describe('dataset-builder', () => {
  it('pairs a reaction that arrives first, from another partition, with its plan', async () => {
    const planId = randomUUID();
    const generated = samplePlanEvent('plan_generated', sampleGeneratedPayload(planId), {
      event_id: randomUUID(),
      event_time: at(0),
      experiments: [{ experiment_id: experimentId, variant_id: variantIds[1] }],
    });
    const final_plan = planOf(['rice-bowl'], ['rice-bowl-too']);
    const feedback = sampleFeedbackPayload(planId, { final_plan, edited_slots: ['2026-01-06/dinner'] });
    const edited = samplePlanEvent('plan_edited', feedback, { event_id: randomUUID(), event_time: at(5) });

    expect(await settle([[edited, 'elsewhere']])).toEqual({ written: 1, duplicate: 0, dead_lettered: 0 });
    expect(await rowOf(planId)).toMatchObject({ reaction: 'edited', request: null, generated_at: null });
    expect(await settle([[generated]])).toEqual({ written: 1, duplicate: 0, dead_lettered: 0 });
    const payload = sampleGeneratedPayload(planId);
    expect(await rowOf(planId)).toMatchObject({
      model_name: 'planner',
      household_id: generated.unit_id,
      experiments: generated.experiments,
      policy_version_id: policyVersionId,
      policy: payload.policy,
      generated_event_id: generated.event_id,
      generated_at: new Date(at(0)),
      requested_at: new Date(payload.request.requested_at),
      request: payload.request,
      plan: payload.plan,
      action_propensities: payload.choices,
      reaction: 'edited',
      reaction_event_id: edited.event_id,
      reacted_at: new Date(at(5)),
      final_plan,
      edited_slots: ['2026-01-06/dinner'],
    });
  });

  it('counts the same events again as duplicates and changes nothing', async () => {
    const planId = randomUUID();
    const generated = samplePlanEvent('plan_generated', sampleGeneratedPayload(planId), { event_id: randomUUID() });
    const accepted = samplePlanEvent('plan_accepted', sampleFeedbackPayload(planId), {
      event_id: randomUUID(),
      event_time: at(9),
    });
    expect(await settle([[generated], [accepted]])).toEqual({ written: 2, duplicate: 0, dead_lettered: 0 });
    const before = await rowOf(planId);
    expect(await settle([[accepted, 'x'], [generated, 'y'], [generated]])).toEqual({
      written: 0,
      duplicate: 3,
      dead_lettered: 0,
    });
    expect(await rowOf(planId)).toEqual(before);
  });

  it('keeps the earliest plan and the latest reaction, whichever comes first', async () => {
    const identity = (minute: number) => ({ event_id: randomUUID(), event_time: at(minute) });
    for (const order of ['forward', 'backward']) {
      const planId = randomUUID();
      const first = samplePlanEvent('plan_generated', sampleGeneratedPayload(planId), identity(1));
      const later = samplePlanEvent(
        'plan_generated',
        sampleGeneratedPayload(planId, { policy: { name: 'other', temperature: 1 } }),
        identity(2),
      );
      const accepted = samplePlanEvent('plan_accepted', sampleFeedbackPayload(planId), identity(3));
      const edited = samplePlanEvent('plan_edited', sampleFeedbackPayload(planId), identity(4));
      const events = [first, later, accepted, edited];
      await settle((order === 'forward' ? events : events.toReversed()).map((event) => [event] as const));
      expect(await rowOf(planId)).toMatchObject({
        generated_event_id: first.event_id,
        policy: { name: 'rule-based' },
        reaction_event_id: edited.event_id,
        reaction: 'edited',
      });
      const reactions = await database.pool.query(
        'SELECT event_id, reaction FROM exp.plan_reactions WHERE plan_id = $1 ORDER BY reacted_at',
        [planId],
      );
      expect(reactions.rows).toEqual([
        { event_id: accepted.event_id, reaction: 'accepted' },
        { event_id: edited.event_id, reaction: 'edited' },
      ]);
    }
  });

  it('has nothing to do for other events, and dead-letters a broken payload with its path', async () => {
    const payload = structuredClone(sampleGeneratedPayload(randomUUID()));
    payload.request.slots[0]!.servings = 0;
    const broken = samplePlanEvent('plan_generated', payload, { event_id: randomUUID() });
    expect(await settle([[sampleEvent()], [broken], [sampleEvent({ payload: '{"plan_id":1}' })]])).toEqual({
      written: 2,
      duplicate: 0,
      dead_lettered: 1,
    });
    expect(await rowOf(payload.plan_id)).toBeUndefined();
    const letters = await readDeadLetters();
    expect(letters.find(({ event_id }) => event_id === broken.event_id)).toMatchObject({
      stage: 'sink',
      reason: 'rule-violated',
      error: expect.stringMatching(/^payload\.request\.slots\[0\]\.servings /),
    });
  });
});

async function readDeadLetters(): Promise<DeadLetterRecord[]> {
  const decoder = createAvroDecoder<DeadLetterRecord>({
    registry: kafka.registry,
    readerSchema: loadRecordSchema(topics.eventsDeadLetter.valueSchema),
    parse: (value) => ({ ok: true, value: value as DeadLetterRecord }),
    maxValueBytes: 10_000_000,
  });
  const records = (await kafka.readAll('eventsDeadLetter')).map((record) => ({
    ...record,
    topic: kafka.name('eventsDeadLetter'),
    headers: {},
  }));
  await decoder.prepare(records);
  return records.flatMap((record) => {
    const decoded = decoder.decode(record);
    return decoded.ok ? [decoded.value] : [];
  });
}
