// The recipes in memory, as they were at any time: read again when the table changed.
import { createCatalogueHistory } from '#domain/dataset/catalogue-history.ts';
import type { Catalogue } from '#domain/planning/catalogue.ts';
import { describeError } from '#platform/errors.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { createRepeater } from '#platform/process/repeater.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import { readRecipes } from '#producers/planner-tables/recipe-rows.ts';

export type RecipeHistory = {
  start(): Promise<void>;
  /** The catalogue at a time, ISO 8601 in UTC with Z; without recipes when none were there. */
  catalogueAt(time: string): Catalogue;
  /** Reads again now, when the table changed. @throws when Postgres cannot be asked. */
  lookAgain(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** Rows are only added and closed, so these three figures change with every change. */
const fingerprintQuery = `SELECT concat_ws('/', count(*), count(valid_to), max(valid_from), max(valid_to)) AS fingerprint FROM exp.recipes`;

export function createRecipeHistory(options: { pool: Pool; refreshIntervalMs: number; log: Logger }): RecipeHistory {
  const { pool, log } = options;
  let fingerprint: string | null = null;
  let catalogueAt = createCatalogueHistory([]);
  let reading: Promise<void> | null = null;
  let isStale = false;

  const read = async (): Promise<void> => {
    const { rows } = await pool.query<{ fingerprint: string }>(fingerprintQuery);
    const now = rows[0]?.fingerprint ?? '';
    if (now === fingerprint) return;
    const recipes = await readRecipes(pool);
    catalogueAt = createCatalogueHistory(recipes);
    fingerprint = now;
    log.info({ recipes: recipes.length }, 'recipes are read');
  };
  const lookAgain = (): Promise<void> => {
    reading ??= read().finally(() => {
      reading = null;
    });
    return reading;
  };
  const refresh = async (): Promise<void> => {
    try {
      await lookAgain();
      isStale = false;
    } catch (error) {
      if (!isStale) log.warn({ cause: describeError(error) }, 'recipes cannot be read; the last known ones stay');
      isStale = true;
    }
  };
  const repeater = createRepeater(refresh, options.refreshIntervalMs);
  return {
    start: async () => {
      await lookAgain();
      repeater.start();
    },
    catalogueAt: (time) => catalogueAt(time),
    lookAgain,
    [Symbol.asyncDispose]: async () => {
      repeater.stop();
      await reading?.catch(() => undefined);
    },
  };
}
