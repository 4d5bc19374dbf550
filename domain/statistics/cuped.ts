// Variance reduction by a covariate measured before the experiment (CUPED), for means, proportions and ratios.
//
// Source: Deng, Xu, Kohavi, Walker 2013, "Improving the sensitivity of online controlled experiments by utilizing
// pre-experiment data": Y_adj = Y - theta X, theta = Cov(Y, X) / Var(X), Var(Y_adj) = Var(Y) (1 - rho^2).
// One theta is estimated from all units of both variants, so the adjustment cannot differ between them. For ratios theta is
// the slope of the linearized post-period ratio on the linearized pre-period ratio (gbstats 0.8.0).
import { bilinear, type Matrix } from './matrix.ts';
import { type RatioParts, ratioCovariance, ratioGradient } from './ratio.ts';
import { covarianceOfSamples, mergeCoMoments, mergeSamples, type Sample, varianceOfSample } from './sample.ts';

/** `post` is the metric, `pre` the covariate; `theta` null means not estimated yet, which adjusts nothing. */
export type CupedStatistic = {
  readonly kind: 'cuped';
  readonly count: number;
  readonly post: Sample;
  readonly pre: Sample;
  readonly coMoment: number;
  readonly theta: number | null;
};

/** Sums over units of products of deviations between the post-period and the pre-period parts. */
export type CrossMoments = {
  readonly numeratorNumerator: number;
  /** Post-period numerator with pre-period denominator. */
  readonly numeratorDenominator: number;
  /** Post-period denominator with pre-period numerator. */
  readonly denominatorNumerator: number;
  readonly denominatorDenominator: number;
};

export type CupedRatioStatistic = {
  readonly kind: 'cuped-ratio';
  readonly count: number;
  readonly post: RatioParts;
  readonly pre: RatioParts;
  readonly cross: CrossMoments;
  readonly theta: number | null;
};

/** Covariance of one unit's (post, pre). */
export function cupedCovariance(statistic: CupedStatistic): Matrix {
  const covariance = covarianceOfSamples(statistic.coMoment, statistic.post, statistic.pre);
  return [
    [varianceOfSample(statistic.post), covariance],
    [covariance, varianceOfSample(statistic.pre)],
  ];
}

/** Covariance of one unit's (post numerator, post denominator, pre numerator, pre denominator). */
export function cupedRatioCovariance(statistic: CupedRatioStatistic): Matrix {
  const { post, pre, cross } = statistic;
  const [postRow, postRow2] = ratioCovariance(post);
  const [preRow, preRow2] = ratioCovariance(pre);
  const between = [
    [
      covarianceOfSamples(cross.numeratorNumerator, post.numerator, pre.numerator),
      covarianceOfSamples(cross.numeratorDenominator, post.numerator, pre.denominator),
    ],
    [
      covarianceOfSamples(cross.denominatorNumerator, post.denominator, pre.numerator),
      covarianceOfSamples(cross.denominatorDenominator, post.denominator, pre.denominator),
    ],
  ] as const;
  return [
    [...postRow!, ...between[0]],
    [...postRow2!, ...between[1]],
    [between[0][0], between[1][0], ...preRow!],
    [between[0][1], between[1][1], ...preRow2!],
  ];
}

/** The slope of the metric on the covariate over the units of both variants; 0 when either does not vary. */
export function cupedTheta(a: CupedStatistic, b: CupedStatistic): number {
  const count = a.count + b.count;
  const pool = (x: Sample, y: Sample): Sample => {
    const merged = mergeSamples(x, y);
    return x.family === 'proportion' && y.family === 'proportion' ? { ...merged, family: 'proportion' } : merged;
  };
  const post = pool(a.post, b.post);
  const pre = pool(a.pre, b.pre);
  if (count <= 1 || varianceOfSample(pre) === 0 || varianceOfSample(post) === 0) return 0;
  return covarianceOfSamples(pooledCoMoment(a, b), post, pre) / varianceOfSample(pre);
}

function pooledCoMoment(a: CupedStatistic, b: CupedStatistic): number {
  return mergeCoMoments({ x: a.post, y: a.pre, coMoment: a.coMoment }, { x: b.post, y: b.pre, coMoment: b.coMoment });
}

/** The slope of the linearized post-period ratio on the linearized pre-period ratio, variants weighted alike. */
export function cupedRatioTheta(a: CupedRatioStatistic, b: CupedRatioStatistic): number {
  let covariance = 0;
  let variance = 0;
  for (const statistic of [a, b]) {
    const matrix = cupedRatioCovariance(statistic);
    const post = ratioGradient(statistic.post);
    const pre = ratioGradient(statistic.pre);
    covariance += bilinear([...post, 0, 0], matrix, [0, 0, ...pre]);
    variance += bilinear([0, 0, ...pre], matrix, [0, 0, ...pre]);
  }
  return variance === 0 ? 0 : covariance / variance;
}

export function mergeCuped(a: CupedStatistic, b: CupedStatistic): CupedStatistic {
  return {
    kind: 'cuped',
    count: a.count + b.count,
    post: mergeSamples(a.post, b.post),
    pre: mergeSamples(a.pre, b.pre),
    coMoment: pooledCoMoment(a, b),
    theta: null,
  };
}

export function mergeCupedRatios(a: CupedRatioStatistic, b: CupedRatioStatistic): CupedRatioStatistic {
  const mergeParts = (x: RatioParts, y: RatioParts): RatioParts => ({
    numerator: mergeSamples(x.numerator, y.numerator),
    denominator: mergeSamples(x.denominator, y.denominator),
    coMoment: mergeCoMoments(
      { x: x.numerator, y: x.denominator, coMoment: x.coMoment },
      { x: y.numerator, y: y.denominator, coMoment: y.coMoment },
    ),
  });
  const mergeCross = (
    moment: keyof CrossMoments,
    postPart: 'numerator' | 'denominator',
    prePart: 'numerator' | 'denominator',
  ): number =>
    mergeCoMoments(
      { x: a.post[postPart], y: a.pre[prePart], coMoment: a.cross[moment] },
      { x: b.post[postPart], y: b.pre[prePart], coMoment: b.cross[moment] },
    );
  return {
    kind: 'cuped-ratio',
    count: a.count + b.count,
    post: mergeParts(a.post, b.post),
    pre: mergeParts(a.pre, b.pre),
    cross: {
      numeratorNumerator: mergeCross('numeratorNumerator', 'numerator', 'numerator'),
      numeratorDenominator: mergeCross('numeratorDenominator', 'numerator', 'denominator'),
      denominatorNumerator: mergeCross('denominatorNumerator', 'denominator', 'numerator'),
      denominatorDenominator: mergeCross('denominatorDenominator', 'denominator', 'denominator'),
    },
    theta: null,
  };
}
