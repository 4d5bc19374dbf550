// What an instance does while Postgres is away: keys, definitions and cached assignments are served, new ones are refused.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inTransaction } from '#platform/postgres/pool.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { createDefinitionOutbox } from '#producers/assignment-publisher/definition-outbox.ts';
import { startOutboxRelay } from '#producers/assignment-publisher/outbox-relay.ts';
import { createRelayMetrics } from '#producers/assignment-publisher/relay-metrics.ts';
import { applyLifecycleCommand } from '#producers/definition-store/change-definition.ts';
import { createModelCheck } from '#producers/definition-store/model-check.ts';
import {
  addApiKey,
  definitionOf,
  type ServiceInstance,
  startInstance,
  testKey,
} from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { setDatabaseState } from '#tests/support/database-outage.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { until } from '#tests/support/poll.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

let database: TestDatabase;
let topics: TestTopics;
let service: ServiceInstance;

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['assignments', 'definitions']);
  await addApiKey(database, testKey);
  service = await startInstance({
    database,
    kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
    registryUrl: stackEndpoints().schemaRegistry.url,
  });
});
afterAll(async () => {
  await service?.stop();
  await topics?.drop();
  await database?.drop();
});

const assign = (unitId: string) => service.call('POST', '/v1/assignments', { unit_type: 'user', unit_id: unitId });

test('serves what it knows, refuses what it cannot store, and goes on by itself', async () => {
  expect((await service.call('POST', '/v1/experiments', definitionOf())).status).toBe(201);
  const known = await assign('known');
  expect(known.status).toBe(200);

  await setDatabaseState(database, 'assignment_service', 'away');
  await until('the instance has noticed', async () => {
    const { body } = await service.call('GET', '/readyz');
    return (body as { postgres: string }).postgres === 'away';
  });
  expect(await assign('known')).toMatchObject({ status: 200, body: known.body });
  const refused = await assign('new');
  expect(refused).toMatchObject({ status: 503, body: { code: 'unavailable' }, headers: { 'retry-after': '1' } });
  const change = { coverage: 1, expected_version: 1, reason: 'test' };
  expect((await service.call('POST', '/v1/experiments/checkout-button/coverage', change)).status).toBe(503);
  expect((await service.call('GET', '/v1/units/user/known/assignments')).status).toBe(503);
  expect((await service.call('GET', '/readyz')).status).toBe(200);
  expect((await service.call('POST', '/v1/assignments', {}, { key: 'unknown' })).status).toBe(401);

  await setDatabaseState(database, 'assignment_service', 'back');
  await until('new units are assigned again', async () => (await assign('new')).status === 200);
  await until('units are told about again', async () => {
    const { status, body } = await service.call('GET', '/v1/units/user/known/assignments');
    return status === 200 && (body as { assignments: unknown[] }).assignments.length === 1;
  });
  await until('the outbox is published again', async () => {
    const { rows } = await database.pool.query('SELECT FROM exp.assignment_outbox WHERE published_at IS NULL LIMIT 1');
    return rows.length === 0;
  });
  const before = performance.now();
  await until('changes are announced again', async () => {
    await database.pool.query(
      "UPDATE exp.experiments SET status = 'paused', version = version + 1, updated_at = now()",
    );
    await database.pool.query("SELECT pg_notify('exp_definitions', '')");
    const { body } = await service.call('POST', '/v1/assignments', {
      unit_type: 'user',
      unit_id: 'later',
      requested_experiments: ['checkout-button'],
      enroll: false,
    });
    return (body as { not_assigned: { reason: string }[] }).not_assigned[0]?.reason === 'paused';
  });
  expect(performance.now() - before).toBeLessThan(5_000);
  expect((await assign('new')).status).toBe(200);
});

test('a change that it cannot read from Postgres comes by the topic, and Postgres has the last word again later', async () => {
  expect((await service.call('POST', '/v1/experiments', definitionOf({ key: 'followed' }))).status).toBe(201);
  const assignedHere = { unit_type: 'user', unit_id: 'known', requested_experiments: ['followed'] };
  const ask = async () => {
    const { status, body } = await service.call('POST', '/v1/assignments', assignedHere);
    const { not_assigned: notAssigned } = body as { not_assigned: { reason: string }[] };
    return [status, notAssigned?.[0]?.reason];
  };
  expect(await ask()).toEqual([200, undefined]);
  await setDatabaseState(database, 'assignment_service', 'away');
  await until('the instance has noticed', async () => {
    const { body } = await service.call('GET', '/readyz');
    return (body as { postgres: string }).postgres === 'away';
  });
  const target = {
    keyOrId: 'followed',
    author: { actor: 'test', reason: 'test' },
    field: 'serving',
    checkModels: createModelCheck(null),
  };
  const run = (expectedVersion: number, kind: 'rollback' | 'restore') =>
    inTransaction(database.pool, (tx) =>
      applyLifecycleCommand(tx, { ...target, expectedVersion, commandFor: () => ({ kind }) }),
    );
  expect((await run(1, 'rollback')).status).toBe('changed');
  // Another instance, which still has Postgres, publishes it.
  {
    await using _relay = startOutboxRelay({
      outbox: createDefinitionOutbox({
        topic: topics.name('definitions'),
        encoder: () => topics.encoder('definitions'),
      }),
      pool: database.pool,
      producer: topics.producer(),
      log: createSilentLogger(),
      metrics: createRelayMetrics(createMetrics({ service: 'test' })),
      owner: 'another instance',
      config: { idleMs: 20, takeOverMs: 20 },
    });
    await until('the instance serves nothing', async () => (await ask())[1] === 'off');
  }
  expect(await ask()).toEqual([200, 'off']);
  const { body } = await service.call('GET', '/readyz');
  expect(body).toMatchObject({ postgres: 'away' });

  await setDatabaseState(database, 'assignment_service', 'back');
  expect((await run(2, 'restore')).status).toBe('changed');
  await until('Postgres is followed again', async () => (await ask())[1] === undefined);
});
