// The ingestion service on real Kafka, registry and Postgres: what 202 promises, and what happens while one of them is away.
import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { partitionOfKey } from '#platform/kafka/key-partitioner.ts';
import { type CuttableLink, createCuttableLink } from '#producers/event-producer/cuttable-link.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { topics as catalogue } from '#schemas/topics.ts';
import {
  addApiKey,
  definitionOf,
  type ServiceInstance,
  startInstance,
  testKey,
} from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { setDatabaseState } from '#tests/support/database-outage.ts';
import { type IngestionInstance, startIngestion } from '#tests/support/ingestion-service-instance.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { until } from '#tests/support/poll.ts';
import { readEvents } from '#tests/support/read-events.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

let database: TestDatabase;
let topics: TestTopics;
let assignments: ServiceInstance;
let one: IngestionInstance;
let two: IngestionInstance;

const ingestKey = 'test-key-that-may-only-ingest';

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['events', 'assignments', 'definitions']);
  await addApiKey(database, testKey);
  await addApiKey(database, ingestKey, ['ingest']);
  assignments = await startInstance({
    database,
    kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
    registryUrl: stackEndpoints().schemaRegistry.url,
  });
  one = await startIngestion({ database, topics, key: ingestKey });
  two = await startIngestion({ database, topics, key: ingestKey });
});
afterAll(async () => {
  await one?.stop();
  await two?.stop();
  await assignments?.stop();
  await topics?.drop();
  await database?.drop();
});

type Body = { results: { event_id: string; status: string; code?: string }[]; code?: string };
const idsOf = ({ body }: { body: unknown }): string[] => (body as Body).results.map(({ event_id: id }) => id);
const eventOf = (unitId: string, more: object = {}) => ({
  event_type: 'purchase',
  unit_type: 'user',
  unit_id: unitId,
  metrics: { revenue: 12.5 },
  ...more,
});
const identified = (unitId: string, more: object = {}) => ({
  ...eventOf(unitId, more),
  event_id: randomUUID() as string,
  timestamp: new Date().toISOString(),
});

async function eventsOf(unitId: string): Promise<EventRecord[]> {
  return (await readEvents(topics)).map(({ event }) => event).filter(({ unit_id: id }) => id === unitId);
}

async function createExperiment(key: string) {
  const { status, body } = await assignments.call('POST', '/v1/experiments', definitionOf({ key }));
  expect(status, JSON.stringify(body)).toBe(201);
  const { experiment_id: experimentId, variants } = body as {
    experiment_id: string;
    variants: { variant_id: string }[];
  };
  return { experiment_id: experimentId, variant_id: variants[0]!.variant_id };
}

describe('an event answered with 202', () => {
  test('is on the topic as it was sent, in the partition of its unit', async () => {
    const ref = await createExperiment('on-the-topic');
    const unitId = `ünit-${randomUUID()}`;
    const sent = {
      event_id: randomUUID(),
      event_type: 'exposure',
      unit_type: 'user',
      unit_id: unitId,
      experiments: [ref],
      context: { country: 'DE', premium: true, age: 41.5, referrer: null },
      metrics: { revenue: 12.5 },
      payload: { cart: [1, 'é', { deep: null }] },
      timestamp: '2026-02-03T04:05:06.789+02:00',
    };
    const startedAt = Date.now();
    const answer = await one.post(sent);
    expect(answer).toMatchObject({
      status: 202,
      body: { accepted: 1, rejected: 0, results: [{ index: 0, event_id: sent.event_id, status: 'accepted' }] },
    });
    const read = (await readEvents(topics)).filter(({ event }) => event.unit_id === unitId);
    expect(read).toHaveLength(1);
    const { event, partition, key } = read[0]!;
    expect(key).toBe(`user:${unitId}`);
    expect(partition).toBe(partitionOfKey(Buffer.from(key), catalogue.events.partitions));
    const { timestamp, payload, ...same } = sent;
    expect(event).toMatchObject({ ...same, event_time: Date.parse(timestamp), producer: `name of ${ingestKey}` });
    expect(JSON.parse(event.payload ?? '')).toEqual(payload);
    expect(event.ingest_time).toBeGreaterThanOrEqual(startedAt);
    expect(event.ingest_time).toBeLessThanOrEqual(Date.now());
  });

  test('of one unit keeps its order within a batch, and of many concurrent requests none is missing', async () => {
    const unitId = `ordered-${randomUUID()}`;
    const batch = Array.from({ length: 100 }, () => identified(unitId));
    expect(await one.post(batch)).toMatchObject({ status: 202, body: { accepted: 100 } });
    expect((await eventsOf(unitId)).map(({ event_id: id }) => id)).toEqual(batch.map(({ event_id: id }) => id));

    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, index) => (index % 2 === 0 ? one : two).post(eventOf(`many-${index}`))),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    const onTopic = new Set((await readEvents(topics)).map(({ event }) => event.event_id));
    expect(answers.flatMap(idsOf).filter((id) => !onTopic.has(id))).toEqual([]);
  });

  test('may come as gzip or NDJSON, and the refused ones beside it are not on the topic', async () => {
    const unitId = `forms-${randomUUID()}`;
    const [first, second, third] = [identified(unitId), identified(unitId), identified(unitId)];
    const gzip = { 'content-encoding': 'gzip' };
    const lines = { 'content-type': 'application/x-ndjson' };
    expect((await one.post(gzipSync(JSON.stringify(first)), gzip)).status).toBe(202);
    const mixed = [JSON.stringify(second), '{"broken', JSON.stringify(identified(unitId, { metrics: { x: 'y' } }))];
    expect(await one.post(mixed.join('\n'), lines)).toMatchObject({
      status: 207,
      body: { accepted: 1, rejected: 2, results: [{}, { code: 'malformed-json' }, { field: 'events[2].metrics.x' }] },
    });
    expect((await one.post(gzipSync(`${JSON.stringify(third)}\n`), { ...gzip, ...lines })).status).toBe(202);
    expect((await eventsOf(unitId)).map(({ event_id: id }) => id).sort()).toEqual(
      [first, second, third].map(({ event_id: id }) => id).sort(),
    );
  });

  test('was in flight when the service was told to stop', async () => {
    const stopping = await startIngestion({ database, topics, key: ingestKey });
    const requests = Array.from({ length: 50 }, (_, index) => stopping.post(eventOf(`stopping-${index}`)));
    const settled = Promise.allSettled(requests);
    await requests[0];
    const startedAt = performance.now();
    await stopping.stop();
    // Not held up by clients that keep their connections.
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    // Those that came too late find nobody who listens.
    const answers = (await settled).flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(answers.length).toBeGreaterThan(0);
    const accepted = answers.filter(({ status }) => status === 202).flatMap(idsOf);
    const onTopic = new Set((await readEvents(topics)).map(({ event }) => event.event_id));
    expect(accepted.filter((id) => !onTopic.has(id))).toEqual([]);
  });
});

describe('identity', () => {
  test('one Idempotency-Key gives the same ids and times on two instances, at once and later', async () => {
    const unitId = `retry-${randomUUID()}`;
    // A UUIDv7: its time is the time of events without one.
    const headers = { 'idempotency-key': '0199a1b2-c3d4-7abc-8def-0123456789ab' };
    const body = [eventOf(unitId), eventOf(unitId, { event_type: 'refund' })];
    const answers = await Promise.all([one.post(body, headers), two.post(body, headers), one.post(body, headers)]);
    const later = await two.post(body, headers);
    for (const answer of [...answers, later]) {
      expect(answer.status).toBe(202);
      expect(idsOf(answer)).toEqual(idsOf(later));
    }
    expect(new Set(idsOf(later)).size).toBe(2);
    const stored = await eventsOf(unitId);
    expect(stored).toHaveLength(8);
    expect(new Set(stored.map(({ event_id: id, event_time: time }) => `${id} ${time}`)).size).toBe(2);
    expect(new Set(stored.map(({ event_time: time }) => time))).toEqual(new Set([0x0199a1b2c3d4]));
  });

  test('a created definition is accepted at once by every instance, its variants only with it', async () => {
    const [first, second] = [await createExperiment('fresh-1'), await createExperiment('fresh-2')];
    const answers = await Promise.all(
      [one, two].map((instance) => instance.post(identified('fresh', { experiments: [first, second] }))),
    );
    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
    const swapped = [{ ...first, variant_id: second.variant_id }];
    expect(await one.post(identified('fresh', { experiments: swapped }))).toMatchObject({
      status: 400,
      body: { code: 'unknown-variant', field: 'experiments[0].variant_id' },
    });
  });
});

describe('while Kafka is away', () => {
  const deliveryTimeoutMs = 1_500;
  let link: CuttableLink;
  let behindLink: IngestionInstance;
  beforeAll(async () => {
    link = await createCuttableLink({ brokers: stackEndpoints().kafka.brokers });
    behindLink = await startIngestion({ database, topics, key: ingestKey, deliveryTimeoutMs, client: link.kafka });
  });
  afterAll(async () => {
    link?.become('open');
    await behindLink?.stop();
    await link?.[Symbol.asyncDispose]();
  });

  test('answers 503 within its bound, stays alive, and goes on by itself when Kafka is back', async () => {
    const unitId = `outage-${randomUUID()}`;
    expect((await behindLink.post(identified(unitId))).status).toBe(202);
    link.become('cut');
    const event = identified(unitId);
    const startedAt = performance.now();
    const refused = await Promise.all([behindLink.post(event), behindLink.post([event, { bad: true }])]);
    expect(performance.now() - startedAt).toBeLessThan(deliveryTimeoutMs + 2_000);
    for (const { status, headers, body } of refused) {
      expect(status).toBe(503);
      expect(headers.get('retry-after')).toBe('1');
      expect(body).toMatchObject({ code: 'not-acknowledged', accepted: 0 });
    }
    expect(refused[1]!.body).toMatchObject({ results: [{ status: 'unknown' }, { status: 'rejected' }] });
    const ready = await fetch(`${behindLink.url}/readyz`);
    expect([ready.status, await ready.json()]).toMatchObject([200, { kafka: 'away' }]);

    link.become('open');
    await until('the repeated event is accepted', async () => (await behindLink.post(event)).status === 202);
    expect(new Set((await eventsOf(unitId)).map(({ event_id: id }) => id))).toContain(event.event_id);
    expect(await (await fetch(`${behindLink.url}/readyz`)).json()).toMatchObject({ kafka: 'reachable' });
  });

  test('an event whose answer was lost is not called accepted', async () => {
    const unitId = `lost-answer-${randomUUID()}`;
    const [before, lost, after] = [identified(unitId), identified(unitId), identified(unitId)] as const;
    expect((await behindLink.post(before)).status).toBe(202);
    link.become('answers-lost');
    expect(await behindLink.post(lost)).toMatchObject({ status: 503, body: { results: [{ status: 'unknown' }] } });
    link.become('open');
    await until('the next event is accepted', async () => (await behindLink.post(after)).status === 202);
    const ids = (await eventsOf(unitId)).map(({ event_id: id }) => id);
    expect(ids).toContain(before.event_id);
    expect(ids).toContain(after.event_id);
  });
});

describe('while Postgres is away', () => {
  afterEach(() => setDatabaseState(database, 'ingestion_service', 'back'));

  test('serves from memory, refuses nothing that it cannot look up, and learns again by itself', async () => {
    const known = await createExperiment('known-before');
    await until('the instance knows it', async () => {
      return (await one.post(identified('outage', { experiments: [known] }))).status === 202;
    });
    const readiness = async () => {
      const answer = await fetch(`${one.url}/readyz`);
      return { code: answer.status, ...((await answer.json()) as { postgres: string }) };
    };
    await setDatabaseState(database, 'ingestion_service', 'away');
    await until('the instance has noticed', async () => (await readiness()).postgres === 'away');
    expect((await readiness()).code).toBe(200);

    const unitId = `from-memory-${randomUUID()}`;
    expect((await one.post(identified(unitId, { experiments: [known] }))).status).toBe(202);
    expect(await eventsOf(unitId)).toHaveLength(1);
    expect((await one.post(identified(unitId), { authorization: 'Bearer unknown' })).status).toBe(401);
    const unknown = { experiment_id: randomUUID(), variant_id: randomUUID() };
    const refused = await one.post(identified(unitId, { experiments: [unknown] }));
    expect(refused).toMatchObject({ status: 503, body: { code: 'definitions-stale' } });
    expect(refused.headers.get('retry-after')).toBe('1');
    // The assignment service keeps its connections: what it creates comes by the topic.
    const meanwhile = await createExperiment('known-from-the-topic');
    await until('an experiment from the topic is known', async () => {
      return (await one.post(identified(unitId, { experiments: [meanwhile] }))).status === 202;
    });
    expect((await readiness()).postgres).toBe('away');

    await setDatabaseState(database, 'ingestion_service', 'back');
    await until('it is refused as unknown again', async () => {
      return (await one.post(identified(unitId, { experiments: [unknown] }))).status === 400;
    });
    const later = await createExperiment('known-after');
    expect((await one.post(identified(unitId, { experiments: [later] }))).status).toBe(202);
    expect((await readiness()).postgres).toBe('reachable');
  });
});
