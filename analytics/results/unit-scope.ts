// Which units of an experiment are analyzed and from where their values come, as pieces of SQL that the readers share.
import type { Timeline } from '#domain/results/timeline.ts';

/** Collects the values of a query's parameters. */
export type Parameters = { readonly values: unknown[]; add(value: unknown): string };

export function createParameters(): Parameters {
  const values: unknown[] = [];
  return {
    values,
    add: (value) => {
      values.push(value);
      return `$${values.length}`;
    },
  };
}

/** How units are told apart besides their variant: not at all, by day of first exposure, or by an attribute. */
export type Stratum = { readonly by: 'none' | 'day' } | { readonly by: 'attribute'; readonly attribute: string };

export type UnitScope = {
  readonly experimentId: string;
  readonly unitType: string;
  readonly isImplicit: boolean;
  readonly timeline: Timeline;
  /** Units that are left out. */
  readonly excludedUnitIds: readonly string[];
  /** UTC day before which no unit was exposed; null without units. */
  readonly firstDay: string | null;
};

/** True when the sums that the stream keeps per unit hold what is analyzed, and nothing but it. */
export function usesStoredSums({ timeline }: UnitScope): boolean {
  return timeline.deviations.length === 0;
}

/** True when one number per variant is enough: one period, no strata, no end of the analysis. */
export function isUndivided(scope: UnitScope, stratum: Stratum): boolean {
  return stratum.by === 'none' && scope.timeline.periods.length === 1 && usesStoredSums(scope);
}

/** Assignment period of a unit: the number of boundaries at or before its assignment. */
export function periodSql(scope: UnitScope, parameters: Parameters, instant: string): string {
  const boundaries = scope.timeline.periods.slice(1).map(({ startMs }) => new Date(startMs ?? 0).toISOString());
  return boundaries.length === 0 ? '0' : `width_bucket(${instant}, ${parameters.add(boundaries)}::timestamptz[])`;
}

/** The end of a unit's analysis: the first deviation that ends after its exposure; it has none of its own when that began before. */
export function deviationSql(
  scope: UnitScope,
  parameters: Parameters,
  exposedAt: string,
): { until: string; isInside: string } {
  const { deviations } = scope.timeline;
  if (deviations.length === 0) return { until: `'infinity'::timestamptz`, isInside: 'false' };
  const starts = parameters.add(deviations.map(({ startMs }) => new Date(startMs).toISOString()));
  const ends = parameters.add(
    deviations.map(({ endMs }) => (endMs === null ? 'infinity' : new Date(endMs).toISOString())),
  );
  const list = `unnest(${starts}::timestamptz[], ${ends}::timestamptz[]) AS deviation (starts, ends)`;
  return {
    until: `coalesce((SELECT min(starts) FROM ${list} WHERE starts > ${exposedAt}), 'infinity')`,
    isInside: `EXISTS (SELECT FROM ${list} WHERE starts <= ${exposedAt} AND ${exposedAt} < ends)`,
  };
}

/** `[{"experiment_id": …}]` for `experiments @>`, with the variant where one is given. */
export function experimentReferenceSql(scope: UnitScope, parameters: Parameters): string {
  return `${parameters.add(JSON.stringify([{ experiment_id: scope.experimentId }]))}::jsonb`;
}

/**
 * A common table expression `units`: unit_id, variant_id, first_exposed_at, until, period, stratum of every analyzed unit.
 * `exposureTypes` are the event types that are exposures.
 */
export function unitsSql(
  scope: UnitScope,
  parameters: Parameters,
  stratum: Stratum,
  exposureTypes: readonly string[],
): string {
  const experiment = parameters.add(scope.experimentId);
  const { until, isInside } = deviationSql(scope, parameters, 'f.first_exposed_at');
  const period = periodSql(scope, parameters, 'coalesce(f.assigned_at, f.first_exposed_at)');
  const stratumSql =
    stratum.by === 'none' ? `''` : stratum.by === 'day' ? 'f.first_exposed_at::date::text' : `coalesce(s.stratum, '')`;
  const attributes =
    stratum.by === 'attribute' ? `${attributesSql(scope, parameters, stratum.attribute, exposureTypes)},\n` : '';
  return `${attributes}units AS (
    SELECT f.unit_id, f.variant_id, f.first_exposed_at, ${until} AS until, ${period} AS period, ${stratumSql} AS stratum
    FROM exp.v_exposed_units f
    ${stratum.by === 'attribute' ? 'LEFT JOIN attributes s ON s.unit_id = f.unit_id' : ''}
    WHERE f.experiment_id = ${experiment} AND NOT ${isInside} ${notExcludedSql(scope, parameters, 'f.unit_id')}
  )`;
}

/** Nothing for nobody: the comparison with an empty list costs every row. */
function notExcludedSql({ excludedUnitIds }: UnitScope, parameters: Parameters, column: string): string {
  return excludedUnitIds.length === 0 ? '' : `AND ${column} <> ALL (${parameters.add(excludedUnitIds)}::text[])`;
}

/** The attribute as the context of the unit's earliest exposure says. */
function attributesSql(
  scope: UnitScope,
  parameters: Parameters,
  attribute: string,
  exposureTypes: readonly string[],
): string {
  const isExposure = scope.isImplicit ? '' : `AND e.event_type = ANY (${parameters.add(exposureTypes)}::text[])`;
  return `attributes AS (
    SELECT DISTINCT ON (e.unit_id) e.unit_id, e.context ->> ${parameters.add(attribute)}::text AS stratum
    FROM exp.events e
    WHERE e.event_date >= ${parameters.add(scope.firstDay)}::date AND e.unit_type = ${parameters.add(scope.unitType)}
      AND e.experiments @> ${experimentReferenceSql(scope, parameters)} ${isExposure}
    ORDER BY e.unit_id, e.event_time, e.event_id
  )`;
}

/**
 * A common table expression `unit_values`: count, sum, min and max per unit, variant and metric. Where delivery deviated, they are
 * counted from events until then; it needs `units`.
 */
export function unitValuesSql(scope: UnitScope, parameters: Parameters, metricNames: readonly string[]): string {
  const names = parameters.add(metricNames);
  const experiment = parameters.add(scope.experimentId);
  if (usesStoredSums(scope)) {
    return `unit_values AS (
      SELECT unit_id, variant_id, metric_name, count, sum, min, max FROM exp.unit_metrics
      WHERE experiment_id = ${experiment} AND metric_name = ANY (${names}::text[]) ${notExcludedSql(scope, parameters, 'unit_id')}
    )`;
  }
  return `unit_values AS (
    SELECT e.unit_id, u.variant_id, m.key AS metric_name, count(*) AS count, sum(m.value::float8) AS sum,
      min(m.value::float8) AS min, max(m.value::float8) AS max
    FROM units u
    JOIN exp.events e ON e.unit_id = u.unit_id AND e.event_time >= u.first_exposed_at AND e.event_time < u.until
    CROSS JOIN LATERAL jsonb_each(e.metrics) AS m
    WHERE e.event_date >= ${parameters.add(scope.firstDay)}::date AND m.key = ANY (${names}::text[])
      AND ${namesVariantSql(scope, parameters, experiment)}
    GROUP BY 1, 2, 3
  )`;
}

/** The event `e` names the variant of the unit `u`, does not contradict its assignment, and is one that the aggregator accepts. */
export function namesVariantSql(scope: UnitScope, parameters: Parameters, experiment: string): string {
  return `e.experiments @> ${experimentReferenceSql(scope, parameters)}
      AND e.experiments @> jsonb_build_array(jsonb_build_object('experiment_id', ${experiment}::text, 'variant_id', u.variant_id))
      AND NOT coalesce(${experiment}::uuid = ANY (e.mismatched_experiment_ids), false)
      AND NOT EXISTS (SELECT FROM jsonb_each(e.metrics) AS o WHERE abs(o.value::float8) > 1e100)`;
}
