// What a metric of one variant is known by, for each shape of metric, and how each is linearized for the delta method.
import { type CupedRatioStatistic, type CupedStatistic, cupedCovariance, cupedRatioCovariance } from './cuped.ts';
import { bilinear, type Matrix } from './matrix.ts';
import { type QuantileStatistic, quantileHasVariance, quantileVariance } from './quantile-inference.ts';
import { type RatioStatistic, ratioCovariance, ratioGradient, ratioOf } from './ratio.ts';
import { type Sample, varianceOfSample } from './sample.ts';

export type SampleStatistic = { readonly kind: 'sample'; readonly count: number; readonly sample: Sample };

/** Sufficient statistics of one metric in one variant. `count` is the number of units. */
export type Statistic = SampleStatistic | RatioStatistic | CupedStatistic | CupedRatioStatistic | QuantileStatistic;

export function sampleStatistic(sample: Sample): SampleStatistic {
  return { kind: 'sample', count: sample.count, sample };
}

/**
 * A statistic as a smooth function of the means of its parts, the form that the delta method works on.
 * `covariance` is that of one unit; the variance of `value` is gradientT covariance gradient / count.
 */
export type Linearization = {
  readonly count: number;
  /** The metric, adjusted for covariates where there are any. */
  readonly value: number;
  readonly gradient: readonly number[];
  /** The metric without adjustment: what relative effects divide by. */
  readonly baseline: number;
  readonly baselineGradient: readonly number[];
  readonly covariance: Matrix;
};

export function linearize(statistic: Statistic): Linearization {
  switch (statistic.kind) {
    case 'sample': {
      const { sample, count } = statistic;
      return unadjusted(count, sample.mean, [1], [[varianceOfSample(sample)]]);
    }
    case 'quantile':
      return unadjusted(statistic.count, statistic.estimate, [1], [[quantileVariance(statistic)]]);
    case 'ratio':
      return unadjusted(statistic.count, ratioOf(statistic), ratioGradient(statistic), ratioCovariance(statistic));
    case 'cuped': {
      const theta = statistic.theta ?? 0;
      return {
        count: statistic.count,
        value: statistic.post.mean - theta * statistic.pre.mean,
        gradient: [1, -theta],
        baseline: statistic.post.mean,
        baselineGradient: [1, 0],
        covariance: cupedCovariance(statistic),
      };
    }
    case 'cuped-ratio': {
      const theta = statistic.theta ?? 0;
      const { post, pre } = statistic;
      const defined = post.denominator.mean !== 0 && pre.denominator.mean !== 0;
      const postGradient = ratioGradient(post);
      const preGradient = ratioGradient(pre).map((slope) => -theta * slope);
      return {
        count: statistic.count,
        value: defined ? ratioOf(post) - theta * ratioOf(pre) : 0,
        gradient: defined ? [...postGradient, ...preGradient] : [0, 0, 0, 0],
        baseline: ratioOf(post),
        baselineGradient: [...postGradient, 0, 0],
        covariance: cupedRatioCovariance(statistic),
      };
    }
  }
}

function unadjusted(count: number, value: number, gradient: readonly number[], covariance: Matrix): Linearization {
  return { count, value, gradient, baseline: value, baselineGradient: gradient, covariance };
}

/** Variance of one unit's contribution: divide by `count` for the variance of the metric. */
export function varianceOfStatistic(statistic: Statistic): number {
  const { gradient, covariance } = linearize(statistic);
  return bilinear(gradient, covariance, gradient);
}

/** Whether there is enough data for an inference on this statistic at all. */
export function hasVariance(statistic: Statistic): boolean {
  return statistic.kind === 'quantile' ? quantileHasVariance(statistic) : varianceOfStatistic(statistic) > 0;
}
