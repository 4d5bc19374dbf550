// Reads the recipes of the planner's temporal table.
import type { RecipeRow } from '#domain/planning/temporal-rows.ts';
import type { PoolClient } from '#platform/postgres/pool.ts';

const recipesQuery = `SELECT recipe_id, title, details,
    to_char(valid_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS valid_from,
    to_char(valid_to AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS valid_to
  FROM exp.recipes ORDER BY recipe_id COLLATE "C", exp.recipes.valid_from`;

/** Every state that a recipe ever had. */
export async function readRecipes(client: Pick<PoolClient, 'query'>): Promise<readonly RecipeRow[]> {
  return (await client.query<RecipeRow>(recipesQuery)).rows;
}
