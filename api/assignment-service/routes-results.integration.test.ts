// GET /v1/experiments/{key}/results on a whole instance: who may ask, what comes back, and what an unknown experiment gets.
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  addApiKey,
  definitionOf,
  type ServiceInstance,
  startInstance,
  testKey,
} from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { fillUnitTables, storeAssignments, storeEvents, type TestEvent } from '#tests/support/results-data.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

let database: TestDatabase;
let kafka: TestTopics;
let instance: ServiceInstance;

beforeAll(async () => {
  [database, kafka] = await Promise.all([createTestDatabase(), createTestTopics(['assignments', 'definitions'])]);
  await addApiKey(database, testKey);
  await addApiKey(database, 'reader', ['read']);
  await addApiKey(database, 'producer', ['ingest', 'assign']);
  const { kafka: cluster, schemaRegistry } = stackEndpoints();
  instance = await startInstance({
    database,
    kafka: { brokers: cluster.brokers, namespace: kafka.namespace },
    registryUrl: schemaRegistry.url,
  });
});
afterAll(async () => {
  await instance?.stop();
  await kafka?.drop();
  await database?.drop();
});

type Wire = {
  units: { analyzed: number };
  decisions: { status: string; evidence: string[] }[];
  metrics: { name: string; comparisons: { effect: { status: string }; history: object[] }[] }[];
};

test('results are read with the scope read, by key or id, with a history when it is asked for', async () => {
  const created = await instance.call('POST', '/v1/experiments', definitionOf({ metrics: { primary: 'revenue' } }));
  const { experiment_id, variants } = created.body as { experiment_id: string; variants: { variant_id: string }[] };
  const units = Array.from({ length: 40 }, (_, index) => ({
    unitId: `u-${index}`,
    variantId: variants[index % 2]!.variant_id,
    atMs: Date.UTC(2026, 2, 1) + index * 3_600_000,
  }));
  await storeAssignments(database.pool, experiment_id, units);
  await storeEvents(
    database.pool,
    experiment_id,
    units.flatMap(({ unitId, variantId, atMs }, index): TestEvent[] => [
      { unitId, variantId, type: 'exposure', atMs },
      { unitId, variantId, type: 'purchase', atMs: atMs + 1, metrics: { revenue: index } },
    ]),
  );
  await fillUnitTables(database.pool);

  const read = (path: string, key: string) => instance.call('GET', `/v1/experiments/${path}`, undefined, { key });
  expect((await read('checkout-button/results', 'producer')).status).toBe(403);
  const answer = await read('checkout-button/results', 'reader');
  expect(answer.status).toBe(200);
  const body = answer.body as Wire;
  expect(body).toMatchObject({ units: { analyzed: 40 }, decisions: [{ status: 'keep running' }] });
  expect(body.metrics[0]).toMatchObject({
    name: 'revenue',
    comparisons: [{ effect: { status: 'computed' }, history: [] }],
  });
  const withHistory = (await read(`${experiment_id}/results?history=true`, 'reader')).body as Wire;
  expect(withHistory.metrics[0]!.comparisons[0]!.history).toHaveLength(2);
  expect((await read('nobody/results', 'reader')).status).toBe(404);
  expect((await read('checkout-button/results?history=yes', 'reader')).status).toBe(400);
});
