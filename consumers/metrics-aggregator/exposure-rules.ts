// Which experiments count every event as an exposure, read from their definitions and kept in memory.
import type { Pool } from '#platform/postgres/pool.ts';

export type ExposureRules = {
  /** Reads the definitions when one of these experiments is unknown or the last reading is old. */
  refresh(experimentIds: Iterable<string>): Promise<void>;
  /** False for an experiment without a definition: it is treated as explicit. */
  isImplicit(experimentId: string): boolean;
};

/** Unknown experiments may be asked for by every event: one query a second answers them all. */
const unknownRetryMs = 1_000;
/** A draft may still change its exposure rule; a running experiment cannot. */
const refreshMs = 30_000;

export function createExposureRules(deps: { pool: Pick<Pool, 'query'>; now: () => number }): ExposureRules {
  let implicitById = new Map<string, boolean>();
  let readAtMs = Number.NEGATIVE_INFINITY;
  return {
    refresh: async (experimentIds) => {
      const ageMs = deps.now() - readAtMs;
      if (ageMs < unknownRetryMs) return;
      if (ageMs < refreshMs) {
        let isComplete = true;
        for (const id of experimentIds) isComplete &&= implicitById.has(id);
        if (isComplete) return;
      }
      const found = await deps.pool.query<{ id: string; implicit: boolean }>(
        "SELECT id, exposure = 'implicit' AS implicit FROM exp.experiments",
      );
      implicitById = new Map(found.rows.map(({ id, implicit }) => [id, implicit]));
      readAtMs = deps.now();
    },
    isImplicit: (experimentId) => implicitById.get(experimentId) ?? false,
  };
}
