// Reads the moments of metrics that are computed from per-unit sums, with the covariate from before the exposure where wanted.
import type { MetricDefinition } from '#domain/metrics/metric-definition.ts';
import type { UnitMoments } from '#domain/results/unit-statistics.ts';
import type { Connection } from '#producers/definition-store/definition-rows.ts';
import { covariateSql, layerMetrics, type MomentMetric, pairSql, regressionSql, unitNumberSql } from './moment-sql.ts';
import {
  createParameters,
  isUndivided,
  type Parameters,
  type Stratum,
  type UnitScope,
  unitsSql,
  unitValuesSql,
} from './unit-scope.ts';

type Regression = Readonly<
  Record<`${string}_${'n' | 'x_mean' | 'x_m2' | 'y_mean' | 'y_m2' | 'xy'}`, number | bigint | null>
>;
type MomentRow = Regression & { variant_id: string; metric_name: string; period: number; stratum: string };

export type MomentOptions = {
  readonly stratum: Stratum;
  /** Days before the first exposure; 0: no covariate. */
  readonly covariateDays: number;
  readonly exposureTypes: readonly string[];
};

/** Moments by metric name of the definition. Ratios of two event metrics take a pass of their own, without covariate. */
export async function readMoments(
  tx: Connection,
  scope: UnitScope,
  metrics: readonly MomentMetric[],
  options: MomentOptions,
): Promise<Map<string, UnitMoments[]>> {
  const moments = new Map<string, UnitMoments[]>();
  for (const layer of layerMetrics(metrics)) {
    const bySource = new Map(layer.map((metric) => [metric.source, metric.definition.name]));
    for (const row of await readLayer(tx, scope, layer, options)) {
      const name = bySource.get(row.metric_name)!;
      moments.set(name, [...(moments.get(name) ?? []), toMoments(row, name, options.covariateDays > 0)]);
    }
  }
  return moments;
}

async function readLayer(
  tx: Connection,
  scope: UnitScope,
  layer: readonly MomentMetric[],
  options: MomentOptions,
): Promise<MomentRow[]> {
  const parameters = createParameters();
  const sources = layer.map(({ source }) => source);
  const isPlain = isUndivided(scope, options.stratum);
  const needsUnits = !isPlain || options.covariateDays > 0;
  const head = [
    ...(needsUnits ? [unitsSql(scope, parameters, options.stratum, options.exposureTypes)] : []),
    unitValuesSql(scope, parameters, sources),
  ];
  const body =
    options.covariateDays > 0
      ? withCovariateSql(scope, parameters, layer, { ...options, isPlain })
      : withoutCovariateSql(parameters, layer, isPlain);
  const { rows } = await tx.query<MomentRow>(
    `WITH ${[...head, ...body.expressions].join(',\n')} ${body.select}`,
    parameters.values,
  );
  return rows;
}

type Body = { readonly expressions: readonly string[]; readonly select: string };

function withoutCovariateSql(parameters: Parameters, layer: readonly MomentMetric[], isPlain: boolean): Body {
  const { x, y } = pairSql(layer, parameters, 'v.');
  const pair = regressionSql('post', x, y);
  return {
    expressions: [],
    select: isPlain
      ? `SELECT variant_id, metric_name, 0 AS period, '' AS stratum, ${pair} FROM unit_values v GROUP BY variant_id, metric_name`
      : `SELECT variant_id, metric_name, u.period, u.stratum, ${pair}
         FROM unit_values v JOIN units u USING (unit_id, variant_id) GROUP BY variant_id, metric_name, u.period, u.stratum`,
  };
}

function withCovariateSql(
  scope: UnitScope,
  parameters: Parameters,
  layer: readonly MomentMetric[],
  { covariateDays, isPlain }: MomentOptions & { isPlain: boolean },
): Body {
  const sources = parameters.add(layer.map(({ source }) => source));
  const exposedDay = 'u.first_exposed_at::date';
  const post = pairSql(layer, parameters, 'p_');
  const pre = covariateSql(layer, parameters);
  const needsPreMean = layer.some(({ definition }) => definition.kind === 'mean');
  return {
    expressions: [
      `pre AS (
        SELECT u.unit_id, u.variant_id, d.metric_name, sum(d.count) AS count, sum(d.sum) AS sum, min(d.min) AS min, max(d.max) AS max
        FROM units u
        JOIN exp.unit_daily_metrics d ON d.unit_type = ${parameters.add(scope.unitType)} AND d.unit_id = u.unit_id
          AND d.day < ${exposedDay} AND d.day >= ${exposedDay} - ${parameters.add(covariateDays)}::integer
        WHERE d.metric_name = ANY (${sources}::text[])
        GROUP BY 1, 2, 3
      )`,
      ...(needsPreMean
        ? ['pre_means AS (SELECT metric_name, avg(sum / count::float8) AS pre_mean FROM pre GROUP BY 1)']
        : []),
      `both_times AS (
        SELECT unit_id, variant_id, metric_name, v.count AS p_count, v.sum AS p_sum, v.min AS p_min, v.max AS p_max,
          pre.count AS r_count, pre.sum AS r_sum, pre.min AS r_min, pre.max AS r_max
        FROM unit_values v FULL JOIN pre USING (unit_id, variant_id, metric_name)
      )`,
      `numbers AS (
        SELECT b.variant_id, metric_name, ${isPlain ? "0 AS period, '' AS stratum" : 'u.period, u.stratum'},
          ${zeroUnlessMean(layer, parameters, post.x)} AS x, coalesce(${post.y}, 0) AS y, ${pre.x} AS pre_x, ${pre.y} AS pre_y
        FROM both_times b
        ${isPlain ? '' : 'JOIN units u USING (unit_id, variant_id)'}
        ${needsPreMean ? 'LEFT JOIN pre_means USING (metric_name)' : ''}
      )`,
    ],
    select: `SELECT variant_id, metric_name, period, stratum, ${regressionSql('post', 'x', 'y')},
        ${regressionSql('pre', 'pre_x', 'pre_y')}, regr_sxy(pre_x, x) AS cross_xx_xy, regr_sxy(pre_y, x) AS cross_xy_xy,
        regr_sxy(pre_x, y) AS cross_yx_xy, regr_sxy(pre_y, y) AS cross_yy_xy
      FROM numbers WHERE x IS NOT NULL GROUP BY variant_id, metric_name, period, stratum`,
  };
}

/** Units with values before the exposure only have 0 since; a mean leaves them out, because there is no value of theirs. */
function zeroUnlessMean(layer: readonly MomentMetric[], parameters: Parameters, x: string): string {
  const means = layer.filter(({ definition }) => definition.kind === 'mean').map(({ source }) => source);
  return means.length === 0
    ? `coalesce(${x}, 0)`
    : `CASE WHEN metric_name = ANY (${parameters.add(means)}::text[]) THEN ${x} ELSE coalesce(${x}, 0) END`;
}

function toMoments(row: MomentRow, metric: string, withCovariate: boolean): UnitMoments {
  const at = (name: keyof Regression): number => Number(row[name] ?? 0);
  const pair = (name: string) => ({
    x: { mean: at(`${name}_x_mean`), m2: at(`${name}_x_m2`) },
    y: { mean: at(`${name}_y_mean`), m2: at(`${name}_y_m2`) },
    xy: at(`${name}_xy`),
  });
  return {
    metric,
    variantId: row.variant_id,
    period: row.period,
    stratum: row.stratum,
    units: at('post_n'),
    ...pair('post'),
    pre: withCovariate
      ? { ...pair('pre'), cross: [at('cross_xx_xy'), at('cross_xy_xy'), at('cross_yx_xy'), at('cross_yy_xy')] }
      : null,
  };
}

/** The moments of a ratio whose two sums come from different event metrics: paired by unit first. */
export async function readPairedMoments(
  tx: Connection,
  scope: UnitScope,
  definition: MetricDefinition & { kind: 'ratio' },
  options: Pick<MomentOptions, 'stratum' | 'exposureTypes'>,
): Promise<UnitMoments[]> {
  const parameters = createParameters();
  const { numerator, denominator, name } = definition;
  const isPlain = isUndivided(scope, options.stratum);
  const head = [
    ...(isPlain ? [] : [unitsSql(scope, parameters, options.stratum, options.exposureTypes)]),
    unitValuesSql(scope, parameters, [numerator.metric, denominator.metric]),
  ];
  const of = (source: string): string => `SELECT * FROM unit_values WHERE metric_name = ${parameters.add(source)}`;
  const { rows } = await tx.query<MomentRow>(
    `WITH ${head.join(',\n')},
     pairs AS (
       SELECT unit_id, variant_id, coalesce(${unitNumberSql(numerator, 'n.')}, 0) AS x, coalesce(${unitNumberSql(denominator, 'd.')}, 0) AS y
       FROM (${of(numerator.metric)}) n FULL JOIN (${of(denominator.metric)}) d USING (unit_id, variant_id)
     )
     SELECT variant_id, '' AS metric_name, ${isPlain ? "0 AS period, '' AS stratum" : 'u.period, u.stratum'}, ${regressionSql('post', 'x', 'y')}
     FROM pairs ${isPlain ? '' : 'JOIN units u USING (unit_id, variant_id)'} GROUP BY 1, 2, 3, 4`,
    parameters.values,
  );
  return rows.map((row) => toMoments(row, name, false));
}
