// Reads the rows of one household that hold at a time, as a planning request needs them.
import type { HouseholdFacts } from '#domain/planning/request-of-facts.ts';
import type { ConstraintRow, HouseholdRow, PantryItemRow } from '#domain/planning/temporal-rows.ts';
import type { PoolClient } from '#platform/postgres/pool.ts';

const validity = `'valid_from', to_char(r.valid_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
  'valid_to', to_char(r.valid_to AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'household_id', r.household_id`;
const holds = 'r.household_id = $1 AND r.valid_from <= $2 AND (r.valid_to IS NULL OR $2 < r.valid_to)';

/** One snapshot and one round trip: the three tables must not be seen at different moments. */
const factsQuery = `SELECT
  (SELECT jsonb_build_object('members', r.members, 'attributes', r.attributes, ${validity})
   FROM exp.households r WHERE ${holds} ORDER BY r.valid_from DESC LIMIT 1) AS household,
  (SELECT coalesce(jsonb_agg(jsonb_build_object('item', r.item, ${validity})), '[]')
   FROM exp.pantry_items r WHERE ${holds}) AS pantry_items,
  (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', r.kind, 'value', r.value, ${validity})), '[]')
   FROM exp.constraints r WHERE ${holds}) AS constraints`;

type FactsRow = { household: HouseholdRow | null; pantry_items: PantryItemRow[]; constraints: ConstraintRow[] };

/** Null when no row says anything about the household at that time (ISO 8601 in UTC, with Z). */
export async function findHouseholdFacts(
  client: Pick<PoolClient, 'query'>,
  householdId: string,
  time: string,
): Promise<HouseholdFacts | null> {
  const { rows } = await client.query<FactsRow>(factsQuery, [householdId, time]);
  const row = rows[0];
  if (row?.household == null) return null;
  return { household: row.household, pantryItems: row.pantry_items, constraints: row.constraints };
}
