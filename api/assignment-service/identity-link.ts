// Links the two identities of a unit at login, so that it keeps its variants: the logged-in row wins, else it is inherited.
import { asUnitId } from '#domain/experiment/ids.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';
import type { DefinitionIndex } from '#producers/definition-store/live-definitions.ts';
import type { AssignmentCandidate, AssignmentStore } from './assignment-store.ts';
import { keepsOutOfLayer, listLayerMates } from './layer-mates.ts';
import type { UnitAssignment, UnitReader } from './unit-assignments.ts';

export type Identities = {
  readonly unitType: string;
  /** The id before login. */
  readonly anonymousUnitId: string;
  /** The id of the logged-in unit. */
  readonly unitId: string;
};

/**
 * `inherited`: the logged-in unit had no row and has that of the anonymous one now. `same`: both had the same variant.
 * `conflict`: they had different ones, or the logged-in unit is in another experiment of the same layer; what is stored stays, and
 * results of this experiment leave both ids out.
 */
export type LinkOutcome = 'inherited' | 'same' | 'conflict';

export type LinkedAssignment = {
  readonly experimentId: string;
  readonly experimentKey: string;
  readonly outcome: LinkOutcome;
  /** What the logged-in unit has; null when it is in another experiment of the same layer and so gets nothing here. */
  readonly variantId: string | null;
  /** What the anonymous unit had. */
  readonly anonymousVariantId: string;
};

export type LinkUnits = (identities: Identities, linkedBy: string) => Promise<LinkedAssignment[]>;

/**
 * The row that the logged-in unit would inherit; null where there is nothing to inherit. Forced variants are of one id, and an
 * archived experiment serves nobody.
 */
function toInherited(
  index: DefinitionIndex,
  { unitType, unitId }: Identities,
  row: UnitAssignment,
): AssignmentCandidate | null {
  const live = index.byId.get(row.experiment_id);
  if (live === undefined || live.experiment.status === 'archived' || row.source === 'forced') return null;
  const { compiled } = live;
  const variant = live.experiment.variants.find(({ variantId }) => variantId === row.variant_id);
  if (variant === undefined || compiled.forcedVariantOf(asUnitId(unitId)) !== undefined) return null;
  return {
    experimentId: row.experiment_id,
    unitId,
    unitType,
    variantId: variant.variantId,
    // Of the id that is stored, as for imported rows; the probability is that with which the variant was given.
    bucket: compiled.bucketOf(asUnitId(unitId)),
    experimentVersion: live.experiment.version,
    probability: row.probability,
    enrolmentShare: row.enrolment_share,
    source: 'inherited',
  };
}

/** Linking again is safe and looks again: a unit that was anonymous once more may have got other assignments meanwhile. */
export function createLinkUnits(deps: {
  pool: Pool;
  units: Pick<UnitReader, 'listAssignments'>;
  store: Pick<AssignmentStore, 'storeFirst'>;
  currentDefinitions: () => DefinitionIndex;
  onLinked: (outcome: LinkOutcome) => void;
}): LinkUnits {
  /** Experiments whose row the logged-in unit must not inherit, as it is stored in another one of the same layer. */
  const findBlocked = async (
    index: DefinitionIndex,
    { unitType, unitId }: Identities,
    inheritable: readonly { readonly row: UnitAssignment }[],
  ): Promise<ReadonlySet<string>> => {
    const mates = inheritable.flatMap(({ row: { experiment_id: id } }) => {
      const live = index.byId.get(id);
      return live === undefined ? [] : listLayerMates(index, live).map(({ experiment }) => [id, experiment] as const);
    });
    if (mates.length === 0) return new Set();
    const own = await deps.units.listAssignments(unitType, unitId);
    const isOwn = new Set(own.map(({ experiment_id }) => experiment_id));
    const keepingOut = new Set<string>(own.filter(keepsOutOfLayer).map(({ experiment_id }) => experiment_id));
    return new Set(mates.filter(([id, mate]) => !isOwn.has(id) && keepingOut.has(mate.experimentId)).map(([id]) => id));
  };
  return async (identities, linkedBy) => {
    const { unitType, anonymousUnitId, unitId } = identities;
    const index = deps.currentDefinitions();
    const inheritable = (await deps.units.listAssignments(unitType, anonymousUnitId)).flatMap((row) => {
      const candidate = toInherited(index, identities, row);
      return candidate === null ? [] : [{ row, candidate }];
    });
    const blocked = await findBlocked(index, identities, inheritable);
    const storable = inheritable.filter(({ row }) => !blocked.has(row.experiment_id));
    const results = await deps.store.storeFirst(storable.map(({ candidate }) => candidate));
    const resultOf = new Map(storable.map(({ row }, position) => [row.experiment_id, results[position]!]));
    const linked = inheritable.map(({ row }): LinkedAssignment => {
      const result = resultOf.get(row.experiment_id);
      const common = {
        experimentId: row.experiment_id,
        experimentKey: row.experiment_key,
        anonymousVariantId: row.variant_id,
      };
      if (result === undefined) return { ...common, outcome: 'conflict', variantId: null };
      const { stored, isNew } = result;
      const isSame = stored.variantId === row.variant_id;
      return {
        ...common,
        outcome: isNew ? 'inherited' : isSame ? 'same' : 'conflict',
        variantId: stored.variantId,
      };
    });
    const conflicts = linked.filter(({ outcome }) => outcome === 'conflict').map(({ experimentId }) => experimentId);
    // After the rows: when this fails, the caller repeats the whole and finds them as they are now.
    await inTransaction(deps.pool, async (tx) => {
      await tx.query(
        `INSERT INTO exp.unit_links (unit_type, unit_id, anonymous_unit_id, linked_by) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING`,
        [unitType, unitId, anonymousUnitId, linkedBy],
      );
      await tx.query(
        `INSERT INTO exp.excluded_units (experiment_id, unit_id, reason)
         SELECT experiment_id, unit_id, 'identity-conflict' FROM unnest($1::uuid[]) AS c (experiment_id)
         CROSS JOIN unnest($2::text[]) AS u (unit_id) ORDER BY 1, 2
         ON CONFLICT DO NOTHING`,
        [conflicts, [unitId, anonymousUnitId]],
      );
    });
    for (const { outcome } of linked) deps.onLinked(outcome);
    return linked;
  };
}
