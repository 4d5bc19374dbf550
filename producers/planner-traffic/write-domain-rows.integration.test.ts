// Tests that a simulated world arrives in the real temporal tables as it was, once, and can be joined as of a time.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { serializePlanRequest, toCanonicalJson } from '#domain/planning/canonical-json.ts';
import type { PlanGeneratedPayload } from '#domain/planning/plan-shape.ts';
import { fromConstraintRow, fromPantryItemRow } from '#domain/planning/temporal-rows.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { runTraffic, sampleWorld } from './traffic-samples.ts';
import { writeDomainRows } from './write-domain-rows.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await database.drop();
});

test('a world is written once, and its rows as of a request are the request', async () => {
  const world = sampleWorld({ households: 30 });
  const pool = database.poolAs('operator');
  expect(await writeDomainRows(pool, world.rows)).toEqual({
    households: world.rows.households.length,
    pantryItems: world.rows.pantryItems.length,
    constraints: world.rows.constraints.length,
    recipes: world.rows.recipes.length,
  });
  expect(await writeDomainRows(pool, world.rows)).toEqual({
    households: 0,
    pantryItems: 0,
    constraints: 0,
    recipes: 0,
  });

  const requests = runTraffic({ world }).flatMap((event) =>
    event.event_type === 'plan_generated' ? [(event.payload as PlanGeneratedPayload).request] : [],
  );
  expect(requests.length).toBeGreaterThan(30);
  for (const request of requests) {
    const { household_id } = request.household;
    const asOf = async (table: string, columns: string) => {
      const { rows } = await pool.query(
        `SELECT ${columns}, to_char(valid_to, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS valid_to FROM exp.${table}
          WHERE household_id = $1 AND valid_from <= $2 AND (valid_to IS NULL OR $2 < valid_to)`,
        [household_id, request.requested_at],
      );
      return rows;
    };
    const [household] = await asOf('households', 'attributes, members');
    const joined = {
      ...request,
      household: { household_id, ...household.attributes },
      pantry: (await asOf('pantry_items', 'item')).map(fromPantryItemRow).sort(byCanonicalJson),
      constraints: (await asOf('constraints', 'kind, value')).map(fromConstraintRow).sort(byCanonicalJson),
    };
    expect(serializePlanRequest(joined)).toBe(serializePlanRequest(request));
    expect(household.members).toBe(request.household.members.length);
  }
});

test('the dataset builder may read the tables and not write them', async () => {
  const pool = database.poolAs('dataset_builder');
  expect((await pool.query('SELECT count(*)::int AS n FROM exp.recipes')).rows).toEqual([{ n: 347 }]);
  await expect(writeDomainRows(pool, sampleWorld({ households: 1 }).rows)).rejects.toThrow('permission denied');
});

function byCanonicalJson(a: unknown, b: unknown): number {
  return toCanonicalJson(a) < toCanonicalJson(b) ? -1 : 1;
}
