// Counts the analyzed units of every stratum: by day of first exposure, or by an attribute.
import type { LoadedExperiment } from '#domain/results/analyze-experiment.ts';
import type { Connection } from '#producers/definition-store/definition-rows.ts';
import { createParameters, type Stratum, type UnitScope, unitsSql } from './unit-scope.ts';

export async function readStratumUnits(
  tx: Connection,
  scope: UnitScope,
  stratum: Stratum,
  exposureTypes: readonly string[],
): Promise<LoadedExperiment['units']> {
  if (scope.firstDay === null) return [];
  const parameters = createParameters();
  const units = unitsSql(scope, parameters, stratum, exposureTypes);
  const { rows } = await tx.query<{ variant_id: string; period: number; stratum: string; units: bigint }>(
    `WITH ${units} SELECT variant_id, period, stratum, count(*) AS units FROM units GROUP BY 1, 2, 3`,
    parameters.values,
  );
  return rows.map((row) => ({
    variantId: row.variant_id,
    period: row.period,
    stratum: row.stratum,
    units: Number(row.units),
  }));
}
