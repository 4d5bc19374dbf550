// Erases a unit in Postgres in one transaction and makes every instance forget what it remembers of it.
import { randomUUID } from 'node:crypto';
import { hashUnit } from '#domain/archive/erased-units.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { DefinitionIndex } from '#producers/definition-store/live-definitions.ts';
import type { UnitReader } from './unit-assignments.ts';

export type ErasureReport = {
  readonly pseudonym: string;
  /** Rows removed from exp.assignments; each has a tombstone under way to the topic. */
  readonly assignments: number;
  /** Events that are under the pseudonym now. */
  readonly events: number;
  /** Rows of the planner's tables and training rows that were removed. */
  readonly domain_rows: number;
  /** Other ids of the same unit, as far as links said so: they are not erased with it. */
  readonly linked_unit_ids: readonly string[];
  /** Experiments whose definition names the unit as a test unit: only an edit of the definition removes it there. */
  readonly named_in_experiments: readonly string[];
};

export type EraseUnit = (unit: { unitType: string; unitId: string }, requestedBy: string) => Promise<ErasureReport>;

/** Repeating an erasure is safe: the unit keeps its pseudonym, and what was stored since is erased too. */
export function createEraseUnit(deps: {
  pool: Pick<Pool, 'query'>;
  units: Pick<UnitReader, 'listLinks'>;
  currentDefinitions: () => DefinitionIndex;
  key: string;
}): EraseUnit {
  return async ({ unitType, unitId }, requestedBy) => {
    const links = await deps.units.listLinks(unitType, unitId);
    const { rows } = await deps.pool.query<{ report: Omit<ErasureReport, 'linked_unit_ids' | 'named_in_experiments'> }>(
      'SELECT exp.erase_unit($1, $2, $3, $4, $5) AS report',
      [unitType, unitId, hashUnit(deps.key, unitType, unitId), `erased-${randomUUID()}`, requestedBy],
    );
    const others = links.flatMap((link) => [link.unit_id, link.anonymous_unit_id]).filter((id) => id !== unitId);
    return {
      ...rows[0]!.report,
      linked_unit_ids: [...new Set(others)],
      named_in_experiments: [...deps.currentDefinitions().byId.values()]
        .filter(
          ({ experiment }) => experiment.unitType === unitType && Object.hasOwn(experiment.forcedVariants, unitId),
        )
        .map(({ experiment }) => experiment.experimentKey),
    };
  };
}
