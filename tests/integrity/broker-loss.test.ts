// Promise: on a cluster of three brokers, reached by TLS and password, what was acknowledged outlives the loss of any broker.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigResourceTypes } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventDateOf } from '#domain/event/parse-event.ts';
import { waitUntilCaughtUp } from '#infra/system/caught-up.ts';
import { findTopicDifferences } from '#platform/kafka/topic-admin.ts';
import { topics } from '#schemas/topics.ts';
import { until } from '#tests/support/poll.ts';
import { brokerCount, type SecuredCluster, startSecuredCluster } from '#tests/support/secured-cluster.ts';
import { createExperiment } from '#tests/support/service-client.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { readArchive, readStoredEvents } from '#tests/support/stored-events.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';

const patience = { deadlineMs: 90_000 };
const groups = ['postgres-sink', 'parquet-archiver'] as const;

let cluster: SecuredCluster;
let run: TestSystem;

beforeAll(async () => {
  cluster = await startSecuredCluster();
  run = await startTestSystem(
    { 'assignment-service': 1, 'ingestion-service': 1, 'postgres-sink': 2, 'parquet-archiver': 1 },
    {
      endpoints: { ...stackEndpoints(), kafka: { brokers: [...cluster.brokers] } },
      replicationFactor: brokerCount,
      // One member of a group with each client.
      overrides: ({ replica }) => ({
        ...cluster.settings,
        KAFKA_CLIENT: replica === 1 ? 'kafkajs' : 'platformatic',
      }),
    },
  );
  await createExperiment(run, { key: 'broker-loss' });
}, 300_000);

afterAll(async () => {
  await run?.stop();
  await cluster?.[Symbol.asyncDispose]();
});

type Traffic = {
  readonly acknowledged: Set<string>;
  readonly unknown: Set<string>;
  /** Units that were told their variant. */
  readonly assigned: Set<string>;
  stop(): Promise<void>;
};

/** Asks for variants and sends events, again and again; nothing is sent twice. */
function sendSteadily(): Traffic {
  const [acknowledged, unknown, assigned] = [new Set<string>(), new Set<string>(), new Set<string>()];
  const ask = (service: 'assignment-service' | 'ingestion-service', path: string, body: unknown): Promise<Response> =>
    fetch(`${run.system.process(service).url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${run.access.ingestKey}` },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
  const sendOnce = async (): Promise<void> => {
    const unit = { unit_type: 'user', unit_id: `user-${randomUUID()}` };
    const told = await ask('assignment-service', '/v1/assignments', unit);
    if (told.ok) assigned.add(unit.unit_id);
    const timestamp = new Date().toISOString();
    // Of several units, so that a request concerns several brokers.
    const events = Array.from({ length: 5 }, () => ({
      unit_type: 'user',
      unit_id: `user-${randomUUID()}`,
      event_id: randomUUID(),
      event_type: 'visit',
      timestamp,
    }));
    const identities = events.map(({ event_id }) => `${event_id}/${eventDateOf(Date.parse(timestamp))}`);
    const outcome = await ask('ingestion-service', '/v1/events', events).then(
      ({ status }) => status,
      () => 'no answer',
    );
    for (const identity of identities) (outcome === 202 ? acknowledged : unknown).add(identity);
    if (outcome !== 202) await sleep(100);
  };
  let stopping = false;
  const senders = Array.from({ length: 4 }, async () => {
    while (!stopping) await sendOnce();
  });
  return {
    acknowledged,
    unknown,
    assigned,
    stop: async () => {
      stopping = true;
      await Promise.all(senders);
    },
  };
}

const moreAcknowledged = async (traffic: Traffic, what: string): Promise<void> => {
  const before = traffic.acknowledged.size;
  await until(`events are acknowledged ${what}`, async () => traffic.acknowledged.size > before + 200, patience);
};

const allInSync = async (): Promise<void> => {
  const admin = run.topics.kafka.admin();
  await admin.connect();
  try {
    await until(
      'every partition has all of its copies',
      async () => {
        const found = await admin.fetchTopicMetadata({ topics: [run.topics.name('events')] });
        return found.topics[0]!.partitions.every(({ isr }) => isr.length === brokerCount);
      },
      patience,
    );
  } finally {
    await admin.disconnect();
  }
};

test('every topic refuses writes that would have a single copy, and the catalogue finds nothing to complain of', async () => {
  const admin = run.topics.kafka.admin();
  await admin.connect();
  try {
    const name = run.topics.name('events');
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name }],
    });
    const found = resources[0]!.configEntries.find(({ configName }) => configName === 'min.insync.replicas');
    expect(found?.configValue).toBe('2');
    const catalogue = Object.values(topics);
    expect(await findTopicDifferences({ admin, catalogue, namespace: run.topics.namespace })).toEqual({
      missing: [],
      differences: [],
    });
  } finally {
    await admin.disconnect();
  }
});

test('brokers are killed one after the other, then two at once: nothing acknowledged is lost or stored twice', async () => {
  const traffic = sendSteadily();
  try {
    await moreAcknowledged(traffic, 'with all brokers');
    for (const id of [1, 2]) {
      await cluster.broker(id).kill();
      await moreAcknowledged(traffic, `without broker ${id}`);
      await cluster.broker(id).start();
      await allInSync();
    }
    await Promise.all([cluster.broker(1).kill(), cluster.broker(2).kill()]);
    // What one broker alone has is not enough for a promise: answers under way may still come, then there are none.
    const [refusedBefore, acknowledgedBefore] = [traffic.unknown.size, traffic.acknowledged.size];
    await until('events are refused', async () => traffic.unknown.size >= refusedBefore + 40, patience);
    expect(traffic.acknowledged.size - acknowledgedBefore).toBeLessThanOrEqual(4 * 5);
    await Promise.all([cluster.broker(1).start(), cluster.broker(2).start()]);
    await moreAcknowledged(traffic, 'with all brokers again');
  } finally {
    await traffic.stop();
  }
  const { kafka, namespace } = run.topics;
  await waitUntilCaughtUp({ kafka, pool: run.database.pool, namespace, wanted: groups });
  expect(run.unexpectedEnds).toEqual([]);

  const stored = await readStoredEvents(run.database.pool);
  const storedSet = new Set(stored);
  const { acknowledged, unknown, assigned } = traffic;
  expect([...acknowledged].filter((identity) => !storedSet.has(identity))).toEqual([]);
  expect(stored.filter((identity) => !acknowledged.has(identity) && !unknown.has(identity))).toEqual([]);
  expect((await readArchive(run.database.pool, run.objectStore)).events).toEqual(stored);

  const { rows } = await run.database.pool.query<{ key: string; unit_id: string }>(
    `SELECT experiment_id || ':' || unit_id AS key, unit_id FROM exp.assignments`,
  );
  const published = new Set((await run.topics.readAll('assignments')).map(({ key }) => key?.toString()));
  expect(rows.map(({ unit_id }) => unit_id)).toEqual(expect.arrayContaining([...assigned]));
  expect(rows.filter(({ key }) => !published.has(key))).toEqual([]);
  console.log(`${acknowledged.size} events acknowledged, ${unknown.size} refused or unanswered, ${rows.length} units`);
}, 600_000);
