// The difference between two planners on the same plans, with an interval that knows that plans of one household belong together.
//
// Source: Efron 1979, percentile bootstrap, over clusters (Cameron, Gelbach, Miller 2008): whole households are drawn again.

import { percentile } from '#domain/statistics/off-policy/policy-value.ts';
import { createRandom } from '#domain/statistics/random.ts';
import { computed, notComputable, type Outcome } from '#domain/statistics/result.ts';

/** One plan: what each of both planners got for it, in units of the score. */
export type Pair = { readonly householdId: string; readonly model: number; readonly baseline: number };

export type PairedDifference = {
  /** Means over plans. */
  readonly model: number;
  readonly baseline: number;
  /** model − baseline, with its 95 % interval. */
  readonly difference: number;
  readonly lower: number;
  readonly upper: number;
  readonly plans: number;
  readonly households: number;
};

export type ResampleOptions = { readonly seed: number; readonly samples: number };

const alpha = 0.05;

/** Deterministic for a seed. Not computable with fewer than two households. */
export function comparePairs(pairs: readonly Pair[], options: ResampleOptions): Outcome<PairedDifference> {
  if (pairs.length === 0) return notComputable('no-data', 'no plan has this score for both planners');
  const groups = [...Map.groupBy(pairs, ({ householdId }) => householdId).values()];
  if (groups.length < 2) return notComputable('too-few-units', 'an interval needs plans of two households');
  const households = groups.map((group) => ({
    plans: group.length,
    difference: group.reduce((sum, { model, baseline }) => sum + model - baseline, 0),
  }));
  const mean = (value: (pair: Pair) => number) => pairs.reduce((sum, pair) => sum + value(pair), 0) / pairs.length;
  const random = createRandom(options.seed);
  const drawn = Array.from({ length: options.samples }, () => {
    let [plans, difference] = [0, 0];
    for (let i = 0; i < households.length; i++) {
      const household = households[random.integer(households.length)]!;
      plans += household.plans;
      difference += household.difference;
    }
    return difference / plans;
  }).sort((a, b) => a - b);
  return computed({
    model: mean(({ model }) => model),
    baseline: mean(({ baseline }) => baseline),
    difference: mean(({ model, baseline }) => model - baseline),
    lower: percentile(drawn, alpha / 2),
    upper: percentile(drawn, 1 - alpha / 2),
    plans: pairs.length,
    households: groups.length,
  });
}
