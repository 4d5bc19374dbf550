// Sufficient statistics of one number per unit: the building block of every metric.
//
// They are kept centered (mean and sums of squared deviations), which keeps digits that raw sums of squares lose.

/**
 * `m2` is the sum of squared deviations. A proportion has only zeros and ones, and its variance divides by the count; a
 * mean divides by the count minus one.
 */
export type Sample = {
  readonly family: 'mean' | 'proportion';
  /** Number of units. */
  readonly count: number;
  readonly mean: number;
  readonly m2: number;
};

export function meanSample(moments: { count: number; mean: number; m2: number }): Sample {
  return { family: 'mean', count: moments.count, mean: moments.mean, m2: moments.m2 };
}

/** A mean from a count, a sum and a sum of squares. */
export function meanSampleFromSums(sums: { count: number; sum: number; sumSquares: number }): Sample {
  if (sums.count === 0) return { family: 'mean', count: 0, mean: 0, m2: 0 };
  const mean = sums.sum / sums.count;
  return { family: 'mean', count: sums.count, mean, m2: sums.sumSquares - sums.sum * mean };
}

/** A proportion: `successes` of `count` units had the outcome. */
export function proportionSample(counts: { count: number; successes: number }): Sample {
  if (counts.count === 0) return { family: 'proportion', count: 0, mean: 0, m2: 0 };
  const mean = counts.successes / counts.count;
  return { family: 'proportion', count: counts.count, mean, m2: counts.successes * (1 - mean) };
}

/** Variance of one unit's value; 0 when there are too few units for one. */
export function varianceOfSample(sample: Sample): number {
  if (sample.family === 'proportion') return sample.count === 0 ? 0 : sample.m2 / sample.count;
  return sample.count <= 1 ? 0 : sample.m2 / (sample.count - 1);
}

/** Two disjoint sets of units together (Chan's merge). Mixed families and proportions become a mean. */
export function mergeSamples(a: Sample, b: Sample): Sample {
  const count = a.count + b.count;
  if (count === 0) return { family: 'mean', count: 0, mean: 0, m2: 0 };
  const delta = b.mean - a.mean;
  return {
    family: 'mean',
    count,
    mean: (a.mean * a.count + b.mean * b.count) / count,
    m2: a.m2 + b.m2 + delta * delta * ((a.count * b.count) / count),
  };
}

/** Sum of products of deviations from a raw sum of products. */
export function coMomentFromSums(sumOfProducts: number, a: Sample, b: Sample): number {
  return a.count === 0 ? 0 : sumOfProducts - a.mean * b.mean * a.count;
}

/** The co-moment of two disjoint sets together; `a` and `b` are the pairs of samples of the two sets. */
export function mergeCoMoments(
  a: { x: Sample; y: Sample; coMoment: number },
  b: { x: Sample; y: Sample; coMoment: number },
): number {
  const count = a.x.count + b.x.count;
  if (count === 0) return 0;
  const weight = (a.x.count * b.x.count) / count;
  return a.coMoment + b.coMoment + (b.x.mean - a.x.mean) * (b.y.mean - a.y.mean) * weight;
}

/** Covariance of two values of one unit; divides by the count for two proportions, else by the count minus one. */
export function covarianceOfSamples(coMoment: number, x: Sample, y: Sample): number {
  if (x.count <= 1) return 0;
  return x.family === 'proportion' && y.family === 'proportion' ? coMoment / x.count : coMoment / (x.count - 1);
}
