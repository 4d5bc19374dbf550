// How many more units a running experiment needs to reach its power, given the standard error it has now.
//
// Source: gbstats 0.8.0: the standard error shrinks with the root of the units; the scaling factor (more units / units so far)
// is doubled until the power is reached and then bisected until the power is within 1e-5.
import type { EffectPrior } from './bayesian.ts';
import { computed, notComputable, type Outcome } from './result.ts';
import { DEFAULT_TUNING_UNITS, sequentialHalfWidth, sequentialRho } from './sequential.ts';
import { normalCdf, normalQuantile, normalSurvival } from './special-functions.ts';

export type MidExperimentPlan = {
  readonly standardError: number;
  /** Units of control and treatment so far. */
  readonly unitCount: number;
  /** On the scale of the standard error; its sign does not matter. */
  readonly targetEffect: number;
  readonly alpha: number;
  /** Default 0.8, split over the goal metrics: all are found together with this probability. */
  readonly targetPower?: number;
  readonly goalMetrics?: number;
  /** Tests that share alpha. Default 1. */
  readonly testCount?: number;
  /** A proper prior makes it the power of a Bayesian decision; it wins over `sequential`. */
  readonly prior?: EffectPrior | null;
  readonly sequential?: { readonly tuningUnits?: number } | null;
};

export type MoreUnits = { readonly scalingFactor: number; readonly additionalUnits: number };

const POWER_TOLERANCE = 1e-5;
/** 2^27 times the units so far is more than any experiment gets. */
const MOST_DOUBLINGS = 27;

/** Power after growing by `scalingFactor` times the units so far. */
export function midExperimentPower(plan: MidExperimentPlan, scalingFactor: number): number {
  const testCount = plan.testCount ?? 1;
  const z = -normalQuantile(plan.alpha / (2 * testCount));
  const target = Math.abs(plan.targetEffect);
  const variance = plan.standardError ** 2 / (1 + scalingFactor);
  const error = Math.sqrt(variance);
  const prior = plan.prior ?? null;
  if (prior !== null) {
    const precision = 1 / prior.variance + 1 / variance;
    const needed = variance * Math.sqrt(precision) * z;
    const pull = (variance * prior.mean) / prior.variance;
    return normalSurvival((needed - pull - target) / error) + normalCdf(-(needed + pull + target) / error);
  }
  let halfWidth = z * error;
  if (plan.sequential !== undefined && plan.sequential !== null) {
    const alpha = plan.alpha / testCount;
    const tuningUnits = plan.sequential.tuningUnits ?? DEFAULT_TUNING_UNITS;
    halfWidth = sequentialHalfWidth({
      variance: plan.unitCount * plan.standardError ** 2,
      units: plan.unitCount * (1 + scalingFactor),
      alpha,
      rho: sequentialRho({ alpha, tuningUnits, twoSided: true }),
    });
  }
  return normalSurvival((halfWidth - target) / error) + normalCdf(-(halfWidth + target) / error);
}

/** The further units needed; 0 when the power is there already. */
export function additionalUnits(plan: MidExperimentPlan): Outcome<MoreUnits> {
  if (!(plan.standardError > 0 && plan.unitCount > 0)) {
    return notComputable('zero-variance', 'the effect so far has no standard error');
  }
  const needed = (plan.targetPower ?? 0.8) ** (1 / (plan.goalMetrics ?? 1));
  const missing = (factor: number): number => midExperimentPower(plan, factor) - needed;
  const answer = (factor: number): Outcome<MoreUnits> =>
    computed({ scalingFactor: factor, additionalUnits: plan.unitCount * factor });
  if (missing(0) > 0) return answer(0);
  let factor = 1;
  let difference = missing(factor);
  for (let i = 0; i < MOST_DOUBLINGS && difference < 0; i++) {
    factor *= 2;
    difference = missing(factor);
  }
  if (difference < 0) return notComputable('not-converged', 'no number of units reaches this power');
  let low = 0;
  let high = factor;
  for (let i = 0; i < 100; i++) {
    if (difference > 0) high = factor;
    else low = factor;
    factor = 0.5 * (low + high);
    difference = missing(factor);
    if (Math.abs(difference) < POWER_TOLERANCE) return answer(factor);
  }
  return notComputable('not-converged', 'the search for the number of units did not converge');
}
