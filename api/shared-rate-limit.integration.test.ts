// Rate limits on a real Redis: shared by all instances, kept within bounds while Redis is away, and shared again afterwards.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { redis } from '#infra/local/components/redis.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import {
  addApiKey,
  definitionOf,
  type ServiceInstance,
  startInstance,
  testKey,
} from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { type IngestionInstance, startIngestion } from '#tests/support/ingestion-service-instance.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { createOwnComponent, type OwnComponent } from '#tests/support/own-component.ts';
import { until } from '#tests/support/poll.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { createSharedRateLimiter } from './shared-rate-limit.ts';

let server: OwnComponent<{ url: string }>;
beforeAll(async () => {
  server = await createOwnComponent(redis);
  await server.start();
}, 300_000);
afterAll(() => server?.[Symbol.asyncDispose]());

function createLimiter(requestsPerSecond: number, burst: number, scope = 'test') {
  const limiter = createSharedRateLimiter({
    redisUrl: server.endpoint.url,
    scope,
    config: { requestsPerSecond, burst },
    log: createSilentLogger(),
  });
  const take = async (caller: string) => (await limiter.take(caller)).allowed;
  return { ...limiter, take, decide: limiter.take, [Symbol.dispose]: limiter[Symbol.dispose] };
}
/** Until Redis counts: a limiter of the same scope sees what the other one took. */
async function connected(...limiters: ReturnType<typeof createLimiter>[]): Promise<void> {
  let attempt = 0;
  await until('all limiters count in Redis', async () => {
    attempt += 1;
    const taken = [];
    for (const limiter of limiters) taken.push(await limiter.take(`probe-${attempt}`));
    return taken.join() === limiters.map((_, index) => index === 0).join();
  });
}

test('instances allow the burst and the rate together, each key for itself, and say when to come back', async () => {
  using one = createLimiter(0.2, 1);
  using two = createLimiter(0.2, 1);
  await connected(one, two);
  expect([await one.take('a'), await two.take('a'), await two.take('b')]).toEqual([true, false, true]);
  expect(await two.decide('a')).toEqual({ allowed: false, retryAfterSeconds: 5 });
  using other = createLimiter(0.2, 1, 'another service');
  await until('it counts for itself', () => other.take('a'));
});

test('many requests at once from both are counted exactly', async () => {
  using one = createLimiter(0.001, 50);
  using two = createLimiter(0.001, 50);
  using probe = createLimiter(0.001, 1);
  using second = createLimiter(0.001, 1);
  await connected(probe, second);
  await until('the others are connected too', async () => {
    await one.take('warm');
    return (await two.take('warm')) !== undefined;
  });
  const taken = await Promise.all(Array.from({ length: 200 }, (_, index) => (index % 2 ? one : two).take('many')));
  expect(taken.filter(Boolean).length).toBe(50);
});

test('while Redis is away each instance limits alone, nobody waits, and afterwards they count together again', async () => {
  using one = createLimiter(0.001, 1);
  using two = createLimiter(0.001, 1);
  await connected(one, two);
  await server.stop();
  await until('one has noticed', async () => {
    const startedMs = performance.now();
    await one.take('away');
    await two.take('away');
    return performance.now() - startedMs < 50;
  });
  expect([await one.take('alone'), await one.take('alone'), await two.take('alone')]).toEqual([true, false, true]);
  await server.start();
  await connected(one, two);
});

test('both services refuse with 429 across their instances, and their own health is never limited', async () => {
  await using resources = new AsyncDisposableStack();
  const database: TestDatabase = await createTestDatabase();
  resources.defer(() => database.drop());
  const topics: TestTopics = await createTestTopics(['events', 'assignments', 'definitions']);
  resources.defer(() => topics.drop());
  await addApiKey(database, testKey);
  const limits = { redisUrl: server.endpoint.url, rateLimit: { requestsPerSecond: 0.001, burst: 10 } };
  const startAssignment = async (): Promise<ServiceInstance> => {
    const instance = await startInstance({
      database,
      kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
      registryUrl: stackEndpoints().schemaRegistry.url,
      settings: limits,
    });
    resources.defer(instance.stop);
    return instance;
  };
  const startEvents = async (): Promise<IngestionInstance> => {
    const instance = await startIngestion({ database, topics, key: testKey, settings: limits });
    resources.defer(instance.stop);
    return instance;
  };
  const assignment = [await startAssignment(), await startAssignment()];
  const events = [await startEvents(), await startEvents()];
  expect((await assignment[0]!.call('POST', '/v1/experiments', definitionOf())).status).toBe(201);
  const event = { event_type: 'view', unit_type: 'user', unit_id: 'u1' };
  const statusesOf = async (ask: (index: number) => Promise<number>) => {
    const statuses = await Promise.all(Array.from({ length: 60 }, (_, index) => ask(index)));
    return Map.groupBy(statuses, (status) => status);
  };
  const ofAssignment = await statusesOf(
    async (index) => (await assignment[index % 2]!.call('GET', '/v1/experiments')).status,
  );
  const ofEvents = await statusesOf(async (index) => (await events[index % 2]!.post(event)).status);
  for (const [name, statuses, passed] of [
    ['assignment', ofAssignment, 200],
    ['events', ofEvents, 202],
  ] as const) {
    expect([...statuses.keys()].sort(), name).toEqual([passed, 429]);
    // Ten together; each alone, they would allow twice as many.
    expect(statuses.get(passed)!.length, name).toBeGreaterThanOrEqual(9);
    expect(statuses.get(passed)!.length, name).toBeLessThanOrEqual(15);
  }
  expect((await assignment[0]!.call('GET', '/readyz', undefined, { key: null })).status).toBe(200);
});
