// Writes the rows of a simulated world into the planner's temporal tables.

import type { DomainRows } from '#domain/planning/temporal-rows.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';

/** Each statement takes all rows of its table as one JSON array; rows that are there already stay as they are. */
const statements = {
  households: `INSERT INTO exp.households (household_id, members, attributes, valid_from, valid_to)
    SELECT * FROM jsonb_to_recordset($1::jsonb)
      AS r (household_id text, members integer, attributes jsonb, valid_from timestamptz, valid_to timestamptz)
    ON CONFLICT DO NOTHING`,
  pantryItems: `INSERT INTO exp.pantry_items (household_id, item, valid_from, valid_to)
    SELECT * FROM jsonb_to_recordset($1::jsonb)
      AS r (household_id text, item text, valid_from timestamptz, valid_to timestamptz)
    ON CONFLICT DO NOTHING`,
  constraints: `INSERT INTO exp.constraints (household_id, kind, value, valid_from, valid_to)
    SELECT * FROM jsonb_to_recordset($1::jsonb)
      AS r (household_id text, kind text, value text, valid_from timestamptz, valid_to timestamptz)
    ON CONFLICT DO NOTHING`,
  recipes: `INSERT INTO exp.recipes (recipe_id, title, details, valid_from, valid_to)
    SELECT * FROM jsonb_to_recordset($1::jsonb)
      AS r (recipe_id text, title text, details jsonb, valid_from timestamptz, valid_to timestamptz)
    ON CONFLICT DO NOTHING`,
} as const satisfies Record<keyof DomainRows, string>;

const rowsPerStatement = 5_000;

export type WrittenRows = Readonly<Record<keyof DomainRows, number>>;

/** Inserts the rows in one transaction and says how many were new. Repeating it adds nothing. */
export async function writeDomainRows(pool: Pool, rows: DomainRows): Promise<WrittenRows> {
  return inTransaction(pool, async (tx) => {
    const written = { households: 0, pantryItems: 0, constraints: 0, recipes: 0 };
    for (const table of Object.keys(statements) as (keyof DomainRows)[]) {
      for (let from = 0; from < rows[table].length; from += rowsPerStatement) {
        const part = JSON.stringify(rows[table].slice(from, from + rowsPerStatement));
        written[table] += (await tx.query(statements[table], [part])).rowCount ?? 0;
      }
    }
    return written;
  });
}
