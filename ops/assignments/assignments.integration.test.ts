// Tests rebuild and reconcile on assignments that the real service made and published: nothing changes variant, every difference is told.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createErasedUnits, hashUnit } from '#domain/archive/erased-units.ts';
import {
  addApiKey,
  definitionOf,
  type ServiceInstance,
  startInstance,
  testKey,
} from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { until } from '#tests/support/poll.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { readAssignmentTopic } from './read-assignment-topic.ts';
import { rebuildAssignments } from './rebuild-assignments.ts';
import { reconcileAssignments } from './reconcile-assignments.ts';

const nobodyErased = createErasedUnits([], '');
const unitIds = [...Array.from({ length: 200 }, (_, index) => `user-${index}`), 'ærlig:æøå 🙂'];

let database: TestDatabase;
let topics: TestTopics;
let instance: ServiceInstance | undefined;

const start = (): Promise<ServiceInstance> =>
  startInstance({
    database,
    kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
    registryUrl: stackEndpoints().schemaRegistry.url,
  });
const readTopic = () =>
  readAssignmentTopic({ kafka: topics.kafka, registry: topics.registry, topic: topics.name('assignments') });
const reconcile = () => reconcileAssignments(database.poolAs('operator'), readTopic);

async function assign(service: ServiceInstance, unitId: string): Promise<string> {
  const { status, body } = await service.call('POST', '/v1/assignments', {
    unit_type: 'user',
    unit_id: unitId,
    requested_experiments: ['checkout-button'],
  });
  expect(status, JSON.stringify(body)).toBe(200);
  return (body as { assignments: { variant_name: string }[] }).assignments[0]?.variant_name ?? 'none';
}

async function drained(): Promise<void> {
  await until('the outbox to be published', async () => {
    const { rowCount } = await database.pool.query(
      'SELECT 1 FROM exp.assignment_outbox WHERE published_at IS NULL LIMIT 1',
    );
    return rowCount === 0;
  });
}

async function readRows(): Promise<unknown[]> {
  const { rows } = await database.pool.query(
    `SELECT experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version, probability, enrolment_share, source,
       date_trunc('milliseconds', assigned_at) AS assigned_at
     FROM exp.assignments ORDER BY experiment_id, unit_id`,
  );
  return rows;
}

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['assignments', 'definitions']);
  await addApiKey(database, testKey);
  const service = await start();
  expect((await service.call('POST', '/v1/experiments', definitionOf())).status).toBe(201);
  for (const unitId of unitIds) await assign(service, unitId);
  await drained();
  await service.stop();
});
afterAll(async () => {
  await topics?.drop();
  await database?.drop();
});
beforeEach(() => async () => {
  await instance?.stop();
  instance = undefined;
});

test('database, topic and hash of everything that the service assigned agree', async () => {
  const result = await reconcile();
  expect(result).toMatchObject({ rowCount: unitIds.length, recordCount: unitIds.length, inMotion: 0 });
  expect(result.differences).toEqual([]);
});

test('an emptied table is filled again with the same rows, and later records win over those in the topic', async () => {
  const before = await readRows();
  const topic = await readTopic();
  await database.pool.query('TRUNCATE exp.assignments');
  // As in a new database: it counts from the start.
  await database.pool.query("SELECT setval('exp.assignment_outbox_id_seq', 1)");
  const result = await rebuildAssignments(database.poolAs('operator'), topic, nobodyErased);
  expect(result).toEqual({ restored: unitIds.length, erased: 0, highestRevision: topic.highestRevision });
  expect(await readRows()).toEqual(before);
  expect((await reconcile()).differences).toEqual([]);

  instance = await start();
  const { rows: variants } = await database.pool.query<{ unit_id: string; name: string }>(
    'SELECT a.unit_id, v.name FROM exp.assignments a JOIN exp.variants v ON v.id = a.variant_id',
  );
  const stored = new Map(variants.map(({ unit_id, name }) => [unit_id, name]));
  for (const unitId of unitIds.slice(-20)) expect(await assign(instance, unitId)).toBe(stored.get(unitId));
  await assign(instance, 'user-after-the-rebuild');
  await drained();
  const later = [...(await readTopic()).assignments.values()].find(
    ({ unit_id }) => unit_id === 'user-after-the-rebuild',
  );
  expect(later?.revision).toBeGreaterThan(topic.highestRevision);
});

test('rows are never overwritten: a table with one row is refused', async () => {
  await expect(rebuildAssignments(database.pool, await readTopic(), nobodyErased)).rejects.toThrow('is not empty');
});

test('assignments of variants that are not defined are refused by name, and nothing is restored', async () => {
  const empty = await createTestDatabase();
  try {
    const rebuilt = rebuildAssignments(empty.poolAs('operator'), await readTopic(), nobodyErased);
    await expect(rebuilt).rejects.toThrow(/Apply the definitions first.*checkout-button\/(control|treatment)/);
    expect((await empty.pool.query('SELECT 1 FROM exp.assignments')).rowCount).toBe(0);
  } finally {
    await empty.drop();
  }
});

test('an erased unit stays away', async () => {
  const topic = await readTopic();
  const before = await readRows();
  const erasure = {
    unitHash: hashUnit('key', 'user', 'user-5'),
    pseudonym: 'erased-1',
    erasedAtMs: Date.now() + 1_000,
  };
  await database.pool.query('TRUNCATE exp.assignments');
  const result = await rebuildAssignments(database.pool, topic, createErasedUnits([erasure], 'key'));
  expect(result.erased).toBe(1);
  const { rows } = await database.pool.query("SELECT 1 FROM exp.assignments WHERE unit_id = 'user-5'");
  expect(rows).toEqual([]);

  await database.pool.query('TRUNCATE exp.assignments');
  await rebuildAssignments(database.pool, topic, nobodyErased);
  expect(await readRows()).toEqual(before);
});

test('every kind of difference is told with its unit', async () => {
  const change = (sql: string) => database.pool.query(sql);
  await change("DELETE FROM exp.assignments WHERE unit_id = 'user-1'");
  await change("UPDATE exp.assignments SET hash_bucket = (hash_bucket + 1) % 10000 WHERE unit_id = 'user-2'");
  await change(
    `UPDATE exp.assignments a SET variant_id = v.id FROM exp.variants v
     WHERE a.unit_id = 'user-3' AND v.experiment_id = a.experiment_id AND v.id <> a.variant_id`,
  );
  await change(
    `INSERT INTO exp.assignments (experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version, probability, enrolment_share, source)
     SELECT experiment_id, 'user-not-published', unit_type, variant_id, hash_bucket, experiment_version, probability, enrolment_share, 'imported'
     FROM exp.assignments WHERE unit_id = 'user-4'`,
  );
  const { differences } = await reconcile();
  expect(differences.map(({ kind, unitId }) => `${unitId} ${kind}`).sort()).toEqual([
    'user-1 missing-in-database',
    'user-2 hash-differs',
    'user-2 topic-differs',
    'user-3 hash-differs',
    'user-3 topic-differs',
    'user-not-published hash-differs',
    'user-not-published missing-in-topic',
  ]);
  expect(differences.find(({ kind }) => kind === 'topic-differs')?.detail).toMatch(
    /^hash_bucket: database \d+, topic \d+$/,
  );
});

test('a row that waits in the outbox is on its way, not a difference', async () => {
  const known = await reconcile();
  await database.pool.query(
    `INSERT INTO exp.assignment_outbox (experiment_id, unit_id)
     SELECT experiment_id, unit_id FROM exp.assignments WHERE unit_id = 'user-not-published'`,
  );
  const moving = await reconcile();
  expect(moving.inMotion).toBe(1);
  expect(known.differences.length - moving.differences.length).toBe(1);
});
