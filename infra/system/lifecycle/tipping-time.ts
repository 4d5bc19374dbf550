// When the stored events first broke a guardrail on mean latency: computed again from them, event by event, as the monitor does.
import { testGuardrail } from '#domain/results/compare-variants.ts';
import { estimateEffect } from '#domain/statistics/effect.ts';
import { momentsOf } from '#domain/statistics/moments.ts';
import { ratioStatistic } from '#domain/statistics/ratio.ts';
import { isComputed } from '#domain/statistics/result.ts';
import { meanSample } from '#domain/statistics/sample.ts';
import type { Statistic } from '#domain/statistics/statistic.ts';
import type { Pool } from '#platform/postgres/pool.ts';

type Observed = { unit_id: string; variant_id: string; latency: number; created_at: Date };
type Unit = { readonly variantId: string; readonly sum: number; readonly count: number };

export type Guarded = {
  readonly experimentId: string;
  readonly control: string;
  readonly candidate: string;
  /** Harm that is accepted, in ms. */
  readonly boundMs: number;
  /** Units of each variant before the guardrail is judged. */
  readonly units: number;
  readonly alpha: number;
  readonly tuningUnits: number;
};

/** The time at which the event was accepted that tipped it; null while these events do not break it. */
export async function findTippingTime(pool: Pool, guarded: Guarded): Promise<Date | null> {
  const { rows } = await pool.query<Observed>(
    `SELECT e.unit_id, r.variant_id, (e.metrics ->> 'latency_ms')::float8 AS latency, e.created_at
     FROM exp.events e CROSS JOIN LATERAL jsonb_to_recordset(e.experiments) AS r (experiment_id uuid, variant_id uuid)
     WHERE r.experiment_id = $1 AND e.metrics ? 'latency_ms' ORDER BY e.created_at, e.event_time`,
    [guarded.experimentId],
  );
  const units = new Map<string, Unit>();
  const { boundMs, alpha, tuningUnits } = guarded;
  for (const { unit_id, variant_id, latency, created_at } of rows) {
    const known = units.get(unit_id) ?? { variantId: variant_id, sum: 0, count: 0 };
    units.set(unit_id, { ...known, sum: known.sum + latency, count: known.count + 1 });
    const [control, candidate] = [guarded.control, guarded.candidate].map((variantId) =>
      latencyOf([...units.values()].filter((unit) => unit.variantId === variantId)),
    ) as [Statistic, Statistic];
    if (Math.min(control.count, candidate.count) < guarded.units) continue;
    const effect = estimateEffect(control, candidate, { scale: 'absolute' });
    const evidence = testGuardrail(effect, { harmful: 'increase', bound: boundMs, alpha, tuningUnits });
    if (isComputed(evidence) && evidence.isBroken) return created_at;
  }
  return null;
}

/** Mean latency of plans, with households as the independent draws. */
function latencyOf(units: readonly Unit[]): Statistic {
  const numerator = momentsOf(units.map(({ sum }) => sum));
  const denominator = momentsOf(units.map(({ count }) => count));
  const coMoment = units.reduce(
    (total, { sum, count }) => total + (sum - numerator.mean) * (count - denominator.mean),
    0,
  );
  return ratioStatistic({ numerator: meanSample(numerator), denominator: meanSample(denominator), coMoment });
}
