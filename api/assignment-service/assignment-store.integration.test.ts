// The Postgres store keeps the contract, and every new row has its outbox row.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { applyDefinition } from '#producers/definition-store/change-definition.ts';
import { definitionOf } from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { describeAssignmentStoreContract, type StoreSubject } from './assignment-store.contract.ts';
import { createPostgresAssignmentStore } from './assignment-store.ts';

let database: TestDatabase;
let subject: StoreSubject;

beforeAll(async () => {
  database = await createTestDatabase();
  const result = await applyDefinition(database.pool, definitionOf(), { actor: 'test', reason: 'test' });
  if (result.status !== 'created') throw new Error(result.status);
  const [one, two] = result.experiment.variants.map(({ variantId }) => variantId);
  subject = {
    store: createPostgresAssignmentStore(database.poolAs('assignment_service', 8)),
    experimentId: result.experiment.experimentId,
    variants: [one!, two!],
  };
});
afterAll(async () => {
  await database?.drop();
});

describeAssignmentStoreContract(() => subject);

test('every stored row is announced once', async () => {
  const { rows } = await database.pool.query(
    `SELECT count(DISTINCT (a.experiment_id, a.unit_id))::integer AS stored, count(*)::integer AS announced
     FROM exp.assignments a FULL JOIN exp.assignment_outbox o USING (experiment_id, unit_id)`,
  );
  expect(rows[0].stored).toBeGreaterThan(200);
  expect(rows[0].announced).toBe(rows[0].stored);
});
