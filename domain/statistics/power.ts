// Power, minimum detectable effects and sample sizes before an experiment starts.
//
// Sources: normal approximation with unequal variances (Cohen 1988); relative effects and the inflation of sequential
// tests as in gbstats 0.8.0; sample sizes of several treatments from Duflo, Glennerster, Kremer 2007, "Using randomization
// in development economics research", pages 28 to 31, as in spotify-confidence 4.
import { computed, notComputable, type Outcome } from './result.ts';
import { sequentialHalfWidth, sequentialRho } from './sequential.ts';
import { normalCdf, normalQuantile, normalSurvival } from './special-functions.ts';

/** Variance of (treatment - control), or of (treatment - control) / control, from variances of one unit. */
export function differenceVariance(
  control: { variance: number; mean: number; count: number },
  treatment: { variance: number; mean: number; count: number },
  scale: 'absolute' | 'relative',
): number {
  const a = control.variance / control.count;
  const b = treatment.variance / treatment.count;
  return scale === 'absolute' ? a + b : b / control.mean ** 2 + (a * treatment.mean ** 2) / control.mean ** 4;
}

/** Probability that a two-sided z-test at `alpha` finds a true effect of this size. */
export function powerOf(effect: number, standardError: number, alpha: number): number {
  const z = -normalQuantile(alpha / 2);
  return normalSurvival(z - effect / standardError) + normalCdf(-z - effect / standardError);
}

export type PowerPlan = {
  /** Mean and variance of one unit, in control. */
  readonly mean: number;
  readonly variance: number;
  /** Units of all variants, spread evenly. */
  readonly units: number;
  readonly variants: number;
  readonly alpha: number;
  /** Tuning of the sequential test; absent for a fixed horizon. */
  readonly sequentialTuningUnits?: number;
};

/** How much wider than at a fixed horizon a sequential interval is, after the units of two variants. */
export function sequentialInflation(options: { units: number; alpha: number; tuningUnits: number }): number {
  const { units, alpha, tuningUnits } = options;
  const rho = sequentialRho({ alpha, tuningUnits, twoSided: true });
  return (Math.sqrt(units) * sequentialHalfWidth({ variance: 1, units, alpha, rho })) / -normalQuantile(alpha / 2);
}

function inflationOf(plan: PowerPlan): number {
  if (plan.sequentialTuningUnits === undefined) return 1;
  const units = (2 * plan.units) / plan.variants;
  return sequentialInflation({ units, alpha: plan.alpha, tuningUnits: plan.sequentialTuningUnits });
}

/** Power to find a relative effect (0.05 is five percent) with this plan. */
export function planPower(plan: PowerPlan, relativeEffect: number): number {
  const count = plan.units / plan.variants;
  const variance = differenceVariance(
    { variance: plan.variance, mean: plan.mean, count },
    { variance: plan.variance, mean: plan.mean * (1 + relativeEffect), count },
    'relative',
  );
  return powerOf(relativeEffect, Math.sqrt(variance) * inflationOf(plan), plan.alpha);
}

/** The smallest relative effect that this plan finds with probability `power`, which is above alpha. */
export function minimumDetectableEffect(plan: PowerPlan, power: number): Outcome<{ relativeEffect: number }> {
  if (!(power > plan.alpha && power < 1)) return notComputable('invalid-input', 'power lies between alpha and 1');
  const z = normalQuantile(power) - normalQuantile(plan.alpha / 2);
  // Squared relative error of one mean, in units of the effect's own critical distance.
  const share = (z ** 2 * plan.variance * inflationOf(plan) ** 2) / (plan.units / plan.variants) / plan.mean ** 2;
  if (!(share < 1)) {
    return notComputable('too-few-units', 'no relative effect can be found: more units or fewer variants are needed');
  }
  // (1 + e)^2 (1 - share) - 2 (1 + e) + 1 - share = 0, the larger root.
  return computed({ relativeEffect: (1 + Math.sqrt(1 - (1 - share) ** 2)) / (1 - share) - 1 });
}

export type SampleSizePlan = {
  /** Average difference to find over all comparisons, in units of the metric, not zero. */
  readonly absoluteEffect: number;
  readonly variance: number;
  /** Default 0.05, two-sided. */
  readonly alpha?: number;
  /** Default 0.85. */
  readonly power?: number;
  /** Variants including control. Default 2. */
  readonly variants?: number;
  readonly comparisons?: 'control-vs-all' | 'all-vs-all';
  /** Relative cost of a unit in each variant; the allocation saves on dear ones. Default equal. */
  readonly costs?: readonly number[];
  /** Shares of the units, sum 1. Default: the cheapest for the comparisons asked for. */
  readonly allocations?: readonly number[];
  /** Divide alpha by the number of comparisons. Default false. */
  readonly bonferroni?: boolean;
};

export type SampleSize = { readonly total: number; readonly perVariant: number[]; readonly allocations: number[] };

/** Units needed to find an average difference with the power asked for. Counts are rounded up. */
export function sampleSize(plan: SampleSizePlan): Outcome<SampleSize> {
  const variants = plan.variants ?? 2;
  const power = plan.power ?? 0.85;
  const pairs = comparedPairs(variants, plan.comparisons ?? 'control-vs-all');
  const alpha = (plan.alpha ?? 0.05) / (plan.bonferroni === true ? pairs.length : 1);
  if (!Number.isInteger(variants) || variants < 2) return notComputable('invalid-input', 'two variants or more');
  if (!(alpha > 0 && alpha < power && power < 1))
    return notComputable('invalid-input', 'alpha is below power, both in 0..1');
  if (plan.absoluteEffect === 0 || !(plan.variance > 0)) {
    return notComputable('invalid-input', 'the effect is not zero and the variance is positive');
  }
  const allocations = plan.allocations ?? cheapestAllocations(variants, pairs, plan.costs);
  if (allocations.length !== variants || allocations.some((share) => !(share > 0))) {
    return notComputable('invalid-input', 'allocations are positive, one for each variant');
  }
  const z = normalQuantile(power) - normalQuantile(alpha / 2);
  const spread = pairs.reduce((sum, [a, b]) => sum + Math.sqrt(1 / allocations[a]! + 1 / allocations[b]!), 0);
  const total = Math.ceil((1 / (pairs.length * plan.absoluteEffect)) ** 2 * z ** 2 * plan.variance * spread ** 2);
  return computed({
    total,
    perVariant: allocations.map((share) => Math.ceil(share * total)),
    allocations: [...allocations],
  });
}

type Pair = readonly [number, number];

function comparedPairs(variants: number, comparisons: 'control-vs-all' | 'all-vs-all'): Pair[] {
  const pairs: Pair[] = [];
  for (let a = 1; a < variants; a++) {
    for (let b = 0; b < (comparisons === 'control-vs-all' ? 1 : a); b++) pairs.push([a, b]);
  }
  return pairs;
}

/** A variant's share grows with the comparisons it takes part in and shrinks with the root of its cost. */
function cheapestAllocations(variants: number, pairs: readonly Pair[], costs: readonly number[] | undefined): number[] {
  const share = 1 / pairs.length;
  const takenBy = (i: number): number => pairs.reduce((sum, [a, b]) => (a === i || b === i ? sum + share : sum), 0);
  const costOf = (i: number): number => costs?.[i] ?? 1;
  const importance = Array.from(
    { length: variants },
    (_, i) => (takenBy(i) / takenBy(0)) * Math.sqrt(costOf(0) / costOf(i)),
  );
  const total = importance.reduce((sum, value) => sum + value, 0);
  return importance.map((value) => value / total);
}
