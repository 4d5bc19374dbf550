// Ratio metrics: a sum over units divided by another sum over the same units, by the delta method.
//
// Source: Deng, Knoblich, Lu 2018, "Applying the delta method in metric analytics", equation 4: with per-unit pairs (m, d),
// Var(M/D) = [Var(m)/D^2 - 2 Cov(m,d) M/D^3 + Var(d) M^2/D^4] / n, where M and D are the means per unit.
import type { Matrix } from './matrix.ts';
import { covarianceOfSamples, mergeCoMoments, mergeSamples, type Sample, varianceOfSample } from './sample.ts';

export type RatioParts = {
  readonly numerator: Sample;
  readonly denominator: Sample;
  /** Sum over units of (m - M)(d - D). */
  readonly coMoment: number;
};

/** `count` is the number of units, not the sum of the denominator. */
export type RatioStatistic = RatioParts & { readonly kind: 'ratio'; readonly count: number };

export function ratioStatistic(parts: RatioParts): RatioStatistic {
  return {
    kind: 'ratio',
    count: parts.numerator.count,
    numerator: parts.numerator,
    denominator: parts.denominator,
    coMoment: parts.coMoment,
  };
}

/** Numerator over denominator; 0 where the denominator is zero (such a statistic has no variance either). */
export function ratioOf(parts: RatioParts): number {
  return parts.denominator.mean === 0 ? 0 : parts.numerator.mean / parts.denominator.mean;
}

/** Slopes of the ratio in the means of numerator and denominator. */
export function ratioGradient(parts: RatioParts): [number, number] {
  const d = parts.denominator.mean;
  return d === 0 ? [0, 0] : [1 / d, -parts.numerator.mean / (d * d)];
}

/** Covariance of one unit's numerator and denominator. */
export function ratioCovariance(parts: RatioParts): Matrix {
  const covariance = covarianceOfSamples(parts.coMoment, parts.numerator, parts.denominator);
  return [
    [varianceOfSample(parts.numerator), covariance],
    [covariance, varianceOfSample(parts.denominator)],
  ];
}

export function mergeRatios(a: RatioStatistic, b: RatioStatistic): RatioStatistic {
  return ratioStatistic({
    numerator: mergeSamples(a.numerator, b.numerator),
    denominator: mergeSamples(a.denominator, b.denominator),
    coMoment: mergeCoMoments(
      { x: a.numerator, y: a.denominator, coMoment: a.coMoment },
      { x: b.numerator, y: b.denominator, coMoment: b.coMoment },
    ),
  });
}
