// The caps of winsorized metrics as numbers: given, or a quantile over the units of all variants together.
import type { Cap, MetricDefinition } from '#domain/metrics/metric-definition.ts';
import type { Connection } from '#producers/definition-store/definition-rows.ts';
import { type MomentMetric, pairSql } from './moment-sql.ts';
import { createParameters, type UnitScope, unitsSql, unitValuesSql, usesStoredSums } from './unit-scope.ts';

export function capOf(definition: MetricDefinition): Cap | null {
  return definition.kind === 'sum' || definition.kind === 'mean' ? definition.cap : null;
}

/**
 * The value of the unit at rank ceil(quantile × n), counted from one. `unitCount` is the number of units; those of a sum without values
 * have 0. Null when there is nothing to rank.
 */
export async function readCap(
  tx: Connection,
  scope: UnitScope,
  metric: MomentMetric,
  cap: Cap,
  unitCount: number,
): Promise<number | null> {
  if ('at' in cap) return cap.at;
  const parameters = createParameters();
  const head = [
    ...(usesStoredSums(scope) ? [] : [unitsSql(scope, parameters, { by: 'none' }, [])]),
    unitValuesSql(scope, parameters, [metric.source]),
  ];
  const { x } = pairSql([{ ...metric, cap: null }], parameters, 'v.');
  const zeros =
    metric.definition.kind === 'sum' && !cap.ignoreZeros ? `${parameters.add(unitCount)}::bigint - known.units` : '0';
  const quantile = parameters.add(cap.quantile);
  const { rows } = await tx.query<{ cap: number | null }>(
    `WITH ${head.join(',\n')},
     numbers AS MATERIALIZED (SELECT ${x} AS x FROM unit_values v),
     used AS (SELECT x FROM numbers ${cap.ignoreZeros ? 'WHERE x <> 0' : ''}),
     known AS (SELECT count(*) AS units, count(*) FILTER (WHERE x < 0) AS negative FROM used),
     wanted AS (
       SELECT ceil(${quantile}::float8 * (known.units + ${zeros})) AS rank, known.negative, known.units, ${zeros} AS zeros FROM known
     )
     SELECT CASE
       WHEN rank > negative AND rank <= negative + zeros THEN 0
       ELSE (SELECT x FROM used ORDER BY x OFFSET greatest(0, CASE WHEN rank <= negative THEN rank ELSE rank - zeros END - 1)::bigint LIMIT 1)
     END AS cap FROM wanted`,
    parameters.values,
  );
  return rows[0]?.cap ?? null;
}
