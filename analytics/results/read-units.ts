// Counts the units of an experiment by variant, period and day, and finds those that the analysis leaves out, with the reasons.
import type { LoadedExperiment } from '#domain/results/analyze-experiment.ts';
import { type ExclusionReason, exclusionReasons } from '#domain/results/results.ts';
import type { ArrivalCount } from '#domain/results/sample-ratio-report.ts';
import type { Connection } from '#producers/definition-store/definition-rows.ts';
import { createParameters, deviationSql, periodSql, type UnitScope } from './unit-scope.ts';

type GroupRow = {
  assigned_variant: string | null;
  exposed_variant: string;
  period: number;
  day: string;
  is_inside: boolean;
  units: bigint;
};

export type UnitCounts = Pick<LoadedExperiment, 'units' | 'exposedArrivals' | 'assignedArrivals' | 'exclusions'> & {
  readonly excludedUnitIds: readonly string[];
  readonly firstDay: string | null;
};

/** `forcedUnitIds` are the test units that any version of the definition named. */
export async function readUnits(
  tx: Connection,
  scope: Omit<UnitScope, 'excludedUnitIds' | 'firstDay'>,
  forcedUnitIds: readonly string[],
): Promise<UnitCounts> {
  const wholeScope = { ...scope, excludedUnitIds: [], firstDay: null };
  const groups = await readGroups(tx, wholeScope);
  const suspicious = groups.some(({ assigned_variant, exposed_variant }) => assigned_variant !== exposed_variant);
  const reasonsOf = await readExcluded(tx, scope.experimentId, forcedUnitIds, suspicious);
  const excludedRows = await readExcludedRows(tx, wholeScope, [...reasonsOf.keys()]);
  const left = subtract(groups, excludedRows);
  const inside = left.filter(({ is_inside }) => is_inside).reduce((sum, { units }) => sum + Number(units), 0);
  const arrivals = left
    .filter(({ is_inside, units }) => !is_inside && units > 0n)
    .map(({ exposed_variant, period, day, units }) => ({
      variantId: exposed_variant,
      period,
      day,
      units: Number(units),
    }));
  const assignedArrivals = await readAssigned(tx, wholeScope);
  const met = groups.filter(({ assigned_variant, exposed_variant }) => assigned_variant === exposed_variant);
  return {
    units: sumByPeriod(arrivals),
    exposedArrivals: arrivals,
    assignedArrivals: assignedArrivals.filter(({ isForced }) => !isForced),
    exclusions: {
      ...countReasons(reasonsOf, new Set(excludedRows.map(({ unit_id }) => unit_id)), inside),
      contradictingEvents: await countContradictingEvents(tx, scope.experimentId),
      assignedWithoutExposure:
        assignedArrivals.reduce((sum, { units }) => sum + units, 0) -
        met.reduce((sum, { units }) => sum + Number(units), 0),
    },
    excludedUnitIds: [...reasonsOf.keys()],
    firstDay: groups.map(({ day }) => day).sort()[0] ?? null,
  };
}

/** Exposed units by assignment, variant, period and day. */
async function readGroups(tx: Connection, scope: UnitScope): Promise<GroupRow[]> {
  const parameters = createParameters();
  const period = periodSql(scope, parameters, 'coalesce(assigned_at, first_exposed_at)');
  const { isInside } = deviationSql(scope, parameters, 'first_exposed_at');
  const { rows } = await tx.query<GroupRow>(
    `SELECT assigned_variant_id AS assigned_variant, variant_id AS exposed_variant, ${period} AS period,
       first_exposed_at::date AS day, ${isInside} AS is_inside, count(*) AS units
     FROM exp.v_exposed_units WHERE experiment_id = ${parameters.add(scope.experimentId)} GROUP BY 1, 2, 3, 4, 5`,
    parameters.values,
  );
  return rows;
}

/** Stored assignments by variant and period; all on one day, as they are tested once. */
async function readAssigned(tx: Connection, scope: UnitScope): Promise<(ArrivalCount & { isForced: boolean })[]> {
  const parameters = createParameters();
  const period = periodSql(scope, parameters, 'assigned_at');
  const { rows } = await tx.query<{ variant_id: string; is_forced: boolean; period: number; units: bigint }>(
    `SELECT variant_id, source = 'forced' AS is_forced, ${period} AS period, count(*) AS units
     FROM exp.assignments WHERE experiment_id = ${parameters.add(scope.experimentId)} GROUP BY 1, 2, 3`,
    parameters.values,
  );
  return rows.map((row) => ({
    variantId: row.variant_id,
    period: row.period,
    day: '',
    units: Number(row.units),
    isForced: row.is_forced,
  }));
}

/** Reasons by unit. Who met what is looked for only when the counts say that somebody met another variant than the assigned one. */
async function readExcluded(
  tx: Connection,
  experimentId: string,
  forcedUnitIds: readonly string[],
  suspicious: boolean,
): Promise<Map<string, Set<ExclusionReason>>> {
  const { rows } = await tx.query<{ unit_id: string; reason: ExclusionReason }>(
    `SELECT unit_id, reason FROM exp.excluded_units WHERE experiment_id = $1
     UNION ALL SELECT unit_id, 'in-two-experiments-of-a-layer' FROM exp.v_layer_conflicts WHERE experiment_id = $1
     UNION ALL SELECT unit_id, 'forced' FROM exp.assignments WHERE experiment_id = $1 AND source = 'forced'
     UNION ALL SELECT unit_id, 'forced' FROM unnest($2::text[]) AS forced (unit_id)
     ${suspicious ? `UNION ALL ${suspiciousSql}` : ''}`,
    [experimentId, forcedUnitIds],
  );
  const reasonsOf = new Map<string, Set<ExclusionReason>>();
  for (const { unit_id, reason } of rows) reasonsOf.set(unit_id, (reasonsOf.get(unit_id) ?? new Set()).add(reason));
  return reasonsOf;
}

/** A unit that met two variants met at least one that is not its assigned one. */
const suspiciousSql = `(WITH suspicious AS (
     SELECT unit_id, bool_or(assigned_variant_id <> variant_id) AS contradicts FROM exp.v_exposed_units
     WHERE experiment_id = $1 AND assigned_variant_id IS DISTINCT FROM variant_id GROUP BY unit_id
   )
   SELECT unit_id, 'contradicts-assignment' FROM suspicious WHERE contradicts
   UNION ALL
   SELECT s.unit_id, 'met-two-variants' FROM suspicious s
   JOIN exp.first_exposures f ON f.experiment_id = $1 AND f.unit_id = s.unit_id GROUP BY s.unit_id HAVING count(*) > 1)`;

type ExcludedRow = Pick<GroupRow, 'exposed_variant' | 'period' | 'day' | 'is_inside'> & { unit_id: string };

async function readExcludedRows(tx: Connection, scope: UnitScope, unitIds: readonly string[]): Promise<ExcludedRow[]> {
  if (unitIds.length === 0) return [];
  const parameters = createParameters();
  const period = periodSql(scope, parameters, 'coalesce(f.assigned_at, f.first_exposed_at)');
  const { isInside } = deviationSql(scope, parameters, 'f.first_exposed_at');
  const { rows } = await tx.query<ExcludedRow>(
    `SELECT f.unit_id, f.variant_id AS exposed_variant, ${period} AS period, f.first_exposed_at::date AS day, ${isInside} AS is_inside
     FROM unnest(${parameters.add(unitIds)}::text[]) AS excluded (unit_id)
     JOIN exp.v_exposed_units f ON f.experiment_id = ${parameters.add(scope.experimentId)} AND f.unit_id = excluded.unit_id`,
    parameters.values,
  );
  return rows;
}

const groupKey = ({ exposed_variant, period, day, is_inside }: Omit<ExcludedRow, 'unit_id'>): string =>
  `${exposed_variant}/${period}/${day}/${is_inside}`;

type Left = Pick<GroupRow, 'exposed_variant' | 'period' | 'day' | 'is_inside' | 'units'>;

/** Exposed units by variant, period, day and place in a deviation, without the excluded ones. */
function subtract(groups: readonly GroupRow[], excluded: readonly ExcludedRow[]): Left[] {
  const left = new Map<string, Left>();
  for (const group of groups) {
    const before = left.get(groupKey(group))?.units ?? 0n;
    left.set(groupKey(group), { ...group, units: before + group.units });
  }
  for (const row of excluded) {
    const group = left.get(groupKey(row));
    if (group !== undefined) left.set(groupKey(row), { ...group, units: group.units - 1n });
  }
  return [...left.values()];
}

function sumByPeriod(arrivals: readonly ArrivalCount[]): LoadedExperiment['units'] {
  const groups = Map.groupBy(arrivals, ({ variantId, period }) => `${variantId}/${period}`);
  return [...groups.values()].map((group) => ({
    variantId: group[0]!.variantId,
    period: group[0]!.period,
    stratum: '',
    units: group.reduce((sum, { units }) => sum + units, 0),
  }));
}

/** Counts units that were exposed; a forced unit that never was would only confuse. */
function countReasons(
  reasonsOf: ReadonlyMap<string, ReadonlySet<ExclusionReason>>,
  exposedUnitIds: ReadonlySet<string>,
  inside: number,
): Pick<UnitCounts['exclusions'], 'excluded' | 'excludedByReason'> {
  const counts = new Map<ExclusionReason, number>([['exposed-while-not-as-assigned', inside]]);
  for (const unitId of exposedUnitIds) {
    for (const reason of reasonsOf.get(unitId) ?? []) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  return {
    excluded: exposedUnitIds.size + inside,
    excludedByReason: exclusionReasons
      .map((reason) => ({ reason, units: counts.get(reason) ?? 0 }))
      .filter(({ units }) => units > 0),
  };
}

async function countContradictingEvents(tx: Connection, experimentId: string): Promise<number> {
  const { rows } = await tx.query<{ count: bigint }>(
    'SELECT count(*) AS count FROM exp.events WHERE mismatched_experiment_ids @> ARRAY[$1::uuid]',
    [experimentId],
  );
  return Number(rows[0]?.count ?? 0n);
}
