// Reads how many units had a matching event in a window after their first exposure, from stored events.
import type { ConversionDefinition } from '#domain/metrics/metric-definition.ts';
import type { Cell } from '#domain/results/unit-statistics.ts';
import type { Connection } from '#producers/definition-store/definition-rows.ts';
import { createParameters, type Stratum, type UnitScope, unitsSql } from './unit-scope.ts';

export type ConversionCell = Cell & { readonly units: number; readonly converted: number };

type Row = { variant_id: string; period: number; stratum: string; units: bigint; converted: bigint };

/**
 * The time until which events are known: the latest one that is stored. A window that closes later is not closed, whatever the clock
 * says: events of the past may be on their way, or the traffic may be a recording.
 */
export async function readEventHorizon(tx: Connection): Promise<Date | null> {
  const { rows } = await tx.query<{ horizon: Date | null }>(
    'SELECT max(event_time) AS horizon FROM exp.events WHERE event_date = (SELECT max(event_date) FROM exp.events)',
  );
  return rows[0]?.horizon ?? null;
}

/** Counts the units whose window has closed. Their events count whether or not they name the experiment. */
export async function readConversions(
  tx: Connection,
  scope: UnitScope,
  metric: ConversionDefinition,
  options: { readonly stratum: Stratum; readonly exposureTypes: readonly string[]; readonly horizon: Date },
): Promise<{ cells: ConversionCell[]; openUnits: number }> {
  if (scope.firstDay === null) return { cells: [], openUnits: 0 };
  const parameters = createParameters();
  const units = unitsSql(scope, parameters, options.stratum, options.exposureTypes);
  const seconds = (ms: number): string => `make_interval(secs => ${parameters.add(ms / 1000)})`;
  const [opens, closes] = [seconds(metric.fromMs), seconds(metric.withinMs)];
  const type = metric.eventType === null ? '' : `AND e.event_type = ${parameters.add(metric.eventType)}`;
  const reaches =
    metric.metric === null
      ? ''
      : `AND (e.metrics ->> ${parameters.add(metric.metric)}::text)::float8 >= ${parameters.add(metric.atLeast)}::float8`;
  const horizon = parameters.add(options.horizon);
  const { rows } = await tx.query<Row & { is_closed: boolean }>(
    `WITH ${units},
     converted AS (
       SELECT DISTINCT u.unit_id FROM units u
       JOIN exp.events e ON e.unit_id = u.unit_id
         AND e.event_time >= u.first_exposed_at + ${opens} AND e.event_time < u.first_exposed_at + ${closes}
       WHERE e.event_date >= ${parameters.add(scope.firstDay)}::date AND e.unit_type = ${parameters.add(scope.unitType)} ${type} ${reaches}
     )
     SELECT u.variant_id, u.period, u.stratum, u.first_exposed_at + ${closes} <= least(u.until, ${horizon}::timestamptz) AS is_closed,
       count(*) AS units, count(c.unit_id) AS converted
     FROM units u LEFT JOIN converted c USING (unit_id) GROUP BY 1, 2, 3, 4`,
    parameters.values,
  );
  return {
    cells: rows
      .filter(({ is_closed }) => is_closed)
      .map((row) => ({
        variantId: row.variant_id,
        period: row.period,
        stratum: row.stratum,
        units: Number(row.units),
        converted: Number(row.converted),
      })),
    openUnits: rows.filter(({ is_closed }) => !is_closed).reduce((sum, row) => sum + Number(row.units), 0),
  };
}
