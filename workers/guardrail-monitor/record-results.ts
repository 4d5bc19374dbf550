// Records the results of every experiment now and then, for SQL and dashboards, and as evidence of what was seen when.
import { readResults } from '#analytics/results/read-results.ts';
import { describeGuardrail } from '#domain/results/format-results.ts';
import type { ExperimentResults } from '#domain/results/results.ts';
import { isComputed, type Outcome } from '#domain/statistics/result.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { listDefinitions } from '#producers/definition-store/definition-rows.ts';

const columns = [
  ['experiment_id', 'uuid'],
  ['variant_id', 'uuid'],
  ['metric_name', 'text'],
  ['roles', 'text'],
  ['kind', 'text'],
  ['scale', 'text'],
  ['control_value', 'float8'],
  ['treatment_value', 'float8'],
  ['estimate', 'float8'],
  ['lower', 'float8'],
  ['upper', 'float8'],
  ['p_value', 'float8'],
  ['chance_to_win', 'float8'],
  ['guardrail', 'text'],
  ['not_computable', 'text'],
  ['decision', 'text'],
  ['units', 'int8'],
  ['excluded_units', 'int8'],
  ['sample_ratio_p_value', 'float8'],
] as const;

type Row = Readonly<Record<(typeof columns)[number][0], string | number | null>>;

const insertSql = `INSERT INTO exp.experiment_results (recorded_at, ${columns.map(([name]) => name).join(', ')})
  SELECT $1, ${columns.map(([name]) => (name === 'roles' ? `string_to_array(roles, ' ')` : name)).join(', ')}
  FROM unnest(${columns.map(([, type], index) => `$${index + 2}::${type}[]`).join(', ')}) AS r (${columns.map(([name]) => name).join(', ')})
  ON CONFLICT DO NOTHING`;

/** One row per treatment and metric; numbers that do not exist are null with the reason beside them. */
export function toResultRows(results: ExperimentResults): Row[] {
  const { experiment, units, sampleRatio, decisions, metrics, control } = results;
  const numberOf = (value: Outcome<{ value: number }> | undefined): number | null =>
    value !== undefined && isComputed(value) ? value.value : null;
  return decisions.flatMap(({ variantId, status }) =>
    metrics.map((metric): Row => {
      const comparison = metric.comparisons.find((one) => one.variantId === variantId)!;
      const { effect, bayesian, guardrail } = comparison;
      const computed = isComputed(effect) ? effect : null;
      return {
        experiment_id: experiment.experimentId,
        variant_id: variantId,
        metric_name: metric.name,
        roles: metric.roles.join(' '),
        kind: metric.kind,
        scale: metric.definition.scale,
        control_value: numberOf(metric.values.find((one) => one.variantId === control.variantId)?.value),
        treatment_value: numberOf(metric.values.find((one) => one.variantId === variantId)?.value),
        estimate: computed?.estimate ?? null,
        lower: computed?.interval.lower ?? null,
        upper: computed?.interval.upper ?? null,
        p_value: computed?.pValue ?? null,
        chance_to_win: isComputed(bayesian) ? bayesian.chanceToWin : null,
        guardrail: guardrail === null ? null : describeGuardrail(guardrail).state,
        not_computable: isComputed(effect) ? null : `${effect.reason}: ${effect.detail}`,
        decision: status,
        units: units.analyzed,
        excluded_units: units.excluded,
        sample_ratio_p_value: isComputed(sampleRatio.exposed.anytime) ? sampleRatio.exposed.anytime.pValue : null,
      };
    }),
  );
}

export async function recordResults(pool: Pool, experimentId: string): Promise<number> {
  const results = await readResults(pool, experimentId);
  if (results === null) return 0;
  const rows = toResultRows(results);
  if (rows.length === 0) return 0;
  await pool.query(insertSql, [results.asOf, ...columns.map(([name]) => rows.map((row) => row[name]))]);
  return rows.length;
}

/**
 * Records every experiment that has begun: while it runs or is paused each time, when it is completed once more at its last version.
 * `recorded` remembers what was done, between calls.
 */
export async function recordAll(
  pool: Pool,
  recorded: Map<string, number>,
  onError: (error: unknown) => void,
): Promise<void> {
  for (const { experiment } of await listDefinitions(pool)) {
    const { experimentId, status, version } = experiment;
    const isOver = status === 'completed' && recorded.get(experimentId) === version;
    if (status === 'draft' || status === 'archived' || isOver) continue;
    try {
      await recordResults(pool, experimentId);
      recorded.set(experimentId, version);
    } catch (error) {
      onError(error);
    }
  }
}
