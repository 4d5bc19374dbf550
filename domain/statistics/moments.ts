// Count, sum, mean and squared deviations of a stream of values, mergeable in any order.
//
// Sources: Welford 1962 ("Note on a method for calculating corrected sums of squares and products") for one value;
// Chan, Golub, LeVeque 1979 ("Updating formulae and a pairwise algorithm for computing sample variances") for a merge.

import { computed, notComputable, type Outcome } from './result.ts';

/** `m2` is the sum of squared deviations from the mean. All zero when nothing was counted. */
export type Moments = {
  readonly count: number;
  readonly sum: number;
  readonly mean: number;
  readonly m2: number;
};

export const EMPTY_MOMENTS: Moments = { count: 0, sum: 0, mean: 0, m2: 0 };

/**
 * The moments after one more value (Welford's step).
 * @throws RangeError for NaN and infinities, which would poison every later merge.
 */
export function addToMoments(moments: Moments, value: number): Moments {
  if (!Number.isFinite(value)) throw new RangeError(`moments take finite values only, not ${value}`);
  const count = moments.count + 1;
  const delta = value - moments.mean;
  const mean = moments.mean + delta / count;
  return { count, sum: moments.sum + value, mean, m2: moments.m2 + delta * (value - mean) };
}

/** The moments of two disjoint sets together (Chan's merge): commutative, and associative up to rounding. */
export function mergeMoments(a: Moments, b: Moments): Moments {
  if (a.count === 0) return b;
  if (b.count === 0) return a;
  const count = a.count + b.count;
  const delta = b.mean - a.mean;
  return {
    count,
    sum: a.sum + b.sum,
    mean: (a.mean * a.count + b.mean * b.count) / count,
    m2: a.m2 + b.m2 + delta * delta * ((a.count * b.count) / count),
  };
}

export function momentsOf(values: Iterable<number>): Moments {
  let moments = EMPTY_MOMENTS;
  for (const value of values) moments = addToMoments(moments, value);
  return moments;
}

/** Moments from a count, a sum and a sum of squares; loses digits when the mean is large against the spread. */
export function momentsFromSums(sums: { count: number; sum: number; sumSquares: number }): Moments {
  if (sums.count === 0) return EMPTY_MOMENTS;
  const mean = sums.sum / sums.count;
  return { count: sums.count, sum: sums.sum, mean, m2: sums.sumSquares - sums.sum * mean };
}

/** The unbiased sample variance, m2 / (count - 1), in squared units of the metric. */
export function sampleVariance(moments: Moments): Outcome<{ value: number }> {
  if (moments.count < 2) {
    return notComputable('too-few-units', `a variance needs two values, there are ${moments.count}`);
  }
  return computed({ value: moments.m2 / (moments.count - 1) });
}
