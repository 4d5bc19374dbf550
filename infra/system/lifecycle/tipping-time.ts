// When the stored events first broke the default guardrail on waiting: computed again from them, event by event, as the monitor does.
import { resolveAnalysis } from '#domain/results/analysis-settings.ts';
import { estimateForGuardrail, testGuardrail } from '#domain/results/compare-variants.ts';
import { isComputed } from '#domain/statistics/result.ts';
import { proportionSample } from '#domain/statistics/sample.ts';
import { sampleStatistic } from '#domain/statistics/statistic.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { readMetricDefinitions } from '#producers/definition-store/metric-rows.ts';
import { defaultPromotionMetrics } from '#producers/promotion-store/start-promotion.ts';

/** The guardrail on waiting of a promotion that names none. */
export const slowPlans = 'slow_plans';

type Observed = { unit_id: string; variant_id: string; latency: number; created_at: Date };

export type Guarded = {
  readonly experimentId: string;
  readonly control: string;
  readonly candidate: string;
  /** Units of each variant before the guardrail is judged. */
  readonly units: number;
};

/** The time at which the event was accepted that tipped it; null while these events do not break it. */
export async function findTippingTime(pool: Pool, guarded: Guarded): Promise<Date | null> {
  const metric = (await readMetricDefinitions(pool)).get(slowPlans);
  if (metric?.kind !== 'proportion' || metric.guardrailBound === null)
    throw new Error(`${slowPlans} is not a guardrail on a share of households`);
  const { atLeast, guardrailBound } = metric;
  const { guardrailAlpha, tuningUnits } = resolveAnalysis({});
  const alpha = guardrailAlpha / defaultPromotionMetrics.guardrails.length;
  const { rows } = await pool.query<Observed>(
    `SELECT e.unit_id, r.variant_id, (e.metrics ->> 'latency_ms')::float8 AS latency, e.created_at
     FROM exp.events e CROSS JOIN LATERAL jsonb_to_recordset(e.experiments) AS r (experiment_id uuid, variant_id uuid)
     WHERE r.experiment_id = $1 AND e.metrics ? 'latency_ms' ORDER BY e.created_at, e.event_time`,
    [guarded.experimentId],
  );
  const hasWaited = { control: new Map<string, boolean>(), candidate: new Map<string, boolean>() };
  for (const { unit_id, variant_id, latency, created_at } of rows) {
    const units = variant_id === guarded.control ? hasWaited.control : hasWaited.candidate;
    units.set(unit_id, latency >= atLeast || units.get(unit_id) === true);
    const { control, candidate } = hasWaited;
    if (Math.min(control.size, candidate.size) < guarded.units) continue;
    const effect = estimateForGuardrail(metric, [[shareOf(control), shareOf(candidate)]]);
    const evidence = testGuardrail(effect, { harmful: 'increase', bound: guardrailBound, alpha, tuningUnits });
    if (isComputed(evidence) && evidence.isBroken) return created_at;
  }
  return null;
}

const shareOf = (units: ReadonlyMap<string, boolean>) =>
  sampleStatistic(
    proportionSample({ count: units.size, successes: [...units.values()].filter((isSlow) => isSlow).length }),
  );
