// Policy values with bootstrap intervals and the diagnostics that say whether they can be believed.
//
// Source of the intervals: Efron 1979, percentile bootstrap over rounds, or over clusters of rounds (Cameron, Gelbach, Miller
// 2008) when one unit owns several. Self-normalized estimators are divided again in every resample.
import type { Interval } from '../hypothesis.ts';
import { createRandom } from '../random.ts';
import { computed, notComputable, type Outcome } from '../result.ts';
import {
  type OffPolicyEstimator,
  type OverlapDiagnostics,
  overlapDiagnostics,
  roundContributions,
} from './estimators.ts';
import { type LoggedRounds, type PreparedRounds, prepareRounds } from './logged-rounds.ts';

export type PolicyValue = {
  readonly estimator: OffPolicyEstimator['kind'];
  /** Average reward per round, in units of the reward. */
  readonly value: number;
};

export type PolicyValueWithInterval = PolicyValue & {
  readonly interval: Interval;
  readonly bootstrapSamples: number;
  readonly overlap: OverlapDiagnostics;
};

export type BootstrapOptions = {
  readonly seed: number;
  /** Default 0.05. */
  readonly alpha?: number;
  /** Default 2,000. */
  readonly samples?: number;
  /** The unit of each round; rounds of one unit are drawn together. Absent: rounds are independent. */
  readonly clusters?: readonly (string | number)[];
  /** Refuse an estimate that rests on fewer effective rounds than this. Default 10. */
  readonly smallestEffectiveSampleSize?: number;
};

/** The estimate alone, without an interval or a check of the overlap. */
export function estimatePolicyValue(rounds: LoggedRounds, estimator: OffPolicyEstimator): Outcome<PolicyValue> {
  const prepared = prepareRounds(rounds);
  if ('status' in prepared) return prepared;
  const sums = sumsByCluster(prepared, estimator);
  if ('status' in sums) return sums;
  return computed({ estimator: estimator.kind, value: estimateOf(total(sums)) });
}

/** The estimate with its interval. Not computable without overlap, since no interval is wide enough then. */
export function estimatePolicyValueWithInterval(
  rounds: LoggedRounds,
  estimator: OffPolicyEstimator,
  options: BootstrapOptions,
): Outcome<PolicyValueWithInterval> {
  const prepared = prepareRounds(rounds);
  if ('status' in prepared) return prepared;
  if (options.clusters !== undefined && options.clusters.length !== prepared.terms.length) {
    return notComputable('invalid-input', 'there is not one cluster for each round');
  }
  const sums = sumsByCluster(prepared, estimator, options.clusters);
  if ('status' in sums) return sums;
  const overlap = overlapDiagnostics(prepared);
  const smallest = options.smallestEffectiveSampleSize ?? 10;
  if (estimator.kind !== 'direct-method' && overlap.effectiveSampleSize < smallest) {
    const size = overlap.effectiveSampleSize.toFixed(1);
    return notComputable('no-overlap', `the log is worth ${size} rounds of the target policy, fewer than ${smallest}`);
  }
  if (sums.length < 2) return notComputable('too-few-units', 'an interval needs two independent rounds or units');
  const samples = options.samples ?? 2000;
  const alpha = options.alpha ?? 0.05;
  const values = bootstrap(sums, { seed: options.seed, samples });
  if (values.length < samples / 2) return notComputable('no-overlap', 'most resamples of the log have no weight left');
  return computed({
    estimator: estimator.kind,
    value: estimateOf(total(sums)),
    interval: { lower: percentile(values, alpha / 2), upper: percentile(values, 1 - alpha / 2) },
    bootstrapSamples: values.length,
    overlap,
  });
}

type Sums = { rounds: number; offset: number; value: number; scale: number };

function sumsByCluster(rounds: PreparedRounds, estimator: OffPolicyEstimator, clusters?: readonly (string | number)[]) {
  const contributions = roundContributions(rounds, estimator);
  if ('status' in contributions) return contributions;
  const sums = new Map<string | number, Sums>();
  for (const [i, { offset, value, scale }] of contributions.entries()) {
    const cluster = clusters === undefined ? i : clusters[i]!;
    const sum = sums.get(cluster) ?? { rounds: 0, offset: 0, value: 0, scale: 0 };
    sum.rounds += 1;
    sum.offset += offset;
    sum.value += value;
    sum.scale += scale;
    sums.set(cluster, sum);
  }
  return [...sums.values()];
}

function total(sums: readonly Sums[]): Sums {
  const all = { rounds: 0, offset: 0, value: 0, scale: 0 };
  for (const sum of sums) {
    all.rounds += sum.rounds;
    all.offset += sum.offset;
    all.value += sum.value;
    all.scale += sum.scale;
  }
  return all;
}

function estimateOf({ rounds, offset, value, scale }: Sums): number {
  return offset / rounds + value / scale;
}

/** Sorted estimates of resamples; those without any weight have no value and are left out. */
function bootstrap(sums: readonly Sums[], options: { seed: number; samples: number }): number[] {
  const random = createRandom(options.seed);
  const values: number[] = [];
  for (let sample = 0; sample < options.samples; sample++) {
    let rounds = 0;
    let offset = 0;
    let value = 0;
    let scale = 0;
    for (let i = 0; i < sums.length; i++) {
      const drawn = sums[random.integer(sums.length)]!;
      rounds += drawn.rounds;
      offset += drawn.offset;
      value += drawn.value;
      scale += drawn.scale;
    }
    if (scale > 0) values.push(estimateOf({ rounds, offset, value, scale }));
  }
  return values.sort((a, b) => a - b);
}

/** Linear interpolation between order statistics, numpy's default. */
export function percentile(sorted: readonly number[], q: number): number {
  const position = q * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (position - below);
}
