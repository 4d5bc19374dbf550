// Reads quantiles of event values with what their cluster-robust variance needs, from stored events.

import type { QuantileStatistic } from '#domain/statistics/quantile-inference.ts';
import { quantileBoundLevels } from '#domain/statistics/quantile-inference.ts';
import type { Connection } from '#producers/definition-store/definition-rows.ts';
import { createParameters, namesVariantSql, type UnitScope, unitsSql } from './unit-scope.ts';

export type QuantileCell = {
  readonly variantId: string;
  readonly level: number;
  readonly statistic: QuantileStatistic;
};

type Row = {
  variant_id: string;
  level: number;
  events: bigint;
  quantiles: readonly [number, number, number];
  units: bigint;
  below_sum: number;
  below_squares: number;
  event_squares: number;
  product_sum: number;
};

/** Some quantiles of one event metric by variant: one pass over the events, one sort for each level. */
export async function readQuantiles(
  tx: Connection,
  scope: UnitScope,
  metricName: string,
  levels: readonly number[],
): Promise<QuantileCell[]> {
  if (scope.firstDay === null) return [];
  const parameters = createParameters();
  const units = unitsSql(scope, parameters, { by: 'none' }, []);
  const experiment = parameters.add(scope.experimentId);
  const name = parameters.add(metricName);
  // Half a width of the interval of the level, for one event: domain/statistics/quantile-inference.ts divides it by the root of n.
  const widths = levels.map((level) => level - quantileBoundLevels(level, 1).lower);
  const { rows } = await tx.query<Row>(
    `WITH ${units},
     observed AS MATERIALIZED (
       SELECT u.variant_id, u.unit_id, (e.metrics ->> ${name}::text)::float8 AS value
       FROM units u
       JOIN exp.events e ON e.unit_id = u.unit_id AND e.event_time >= u.first_exposed_at AND e.event_time < u.until
       WHERE e.event_date >= ${parameters.add(scope.firstDay)}::date AND e.metrics ? ${name}::text
         AND ${namesVariantSql(scope, parameters, experiment)}
     ),
     counted AS (SELECT variant_id, count(*) AS events FROM observed GROUP BY 1),
     wanted AS (
       SELECT variant_id, events, level, level - width / sqrt(events) AS low, level + width / sqrt(events) AS high
       FROM counted CROSS JOIN unnest(${parameters.add(levels)}::float8[], ${parameters.add(widths)}::float8[]) AS l (level, width)
     ),
     read AS (
       SELECT w.variant_id, w.level, w.events,
         percentile_disc(ARRAY[w.level, greatest(w.low, 0), least(w.high, 1)]) WITHIN GROUP (ORDER BY o.value) AS quantiles
       FROM wanted w JOIN observed o USING (variant_id)
       GROUP BY w.variant_id, w.level, w.events, w.low, w.high
     ),
     per_unit AS (
       SELECT r.variant_id, r.level, o.unit_id, count(*)::float8 AS events,
         (count(*) FILTER (WHERE o.value <= r.quantiles[1]))::float8 AS below
       FROM read r JOIN observed o USING (variant_id) GROUP BY 1, 2, 3
     )
     SELECT r.variant_id, r.level, r.events, r.quantiles, count(*) AS units, sum(p.below) AS below_sum,
       sum(p.below * p.below) AS below_squares, sum(p.events * p.events) AS event_squares, sum(p.below * p.events) AS product_sum
     FROM read r JOIN per_unit p USING (variant_id, level)
     GROUP BY r.variant_id, r.level, r.events, r.quantiles`,
    parameters.values,
  );
  return rows.map((row) => ({ variantId: row.variant_id, level: row.level, statistic: toStatistic(row) }));
}

function toStatistic(row: Row): QuantileStatistic {
  const count = Number(row.events);
  const [estimate, lower, upper] = row.quantiles;
  return {
    kind: 'quantile',
    count,
    boundsCount: count,
    level: row.level,
    estimate,
    lower,
    upper,
    clusters: {
      unitCount: Number(row.units),
      belowSum: row.below_sum,
      belowSumSquares: row.below_squares,
      eventSum: count,
      eventSumSquares: row.event_squares,
      productSum: row.product_sum,
    },
  };
}
