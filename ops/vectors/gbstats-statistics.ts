// Turns the statistics and priors of gbstats vector files into those of this project.
import type { EffectPrior } from '#domain/statistics/bayesian.ts';
import type { QuantileStatistic } from '#domain/statistics/quantile-inference.ts';
import { type RatioParts, ratioStatistic } from '#domain/statistics/ratio.ts';
import { coMomentFromSums, meanSampleFromSums, proportionSample, type Sample } from '#domain/statistics/sample.ts';
import { type Statistic, sampleStatistic } from '#domain/statistics/statistic.ts';
import { type JsonRecord, readList, readNumber, readRecord, readText } from './json-reader.ts';

export type StatisticPairs = [Statistic, Statistic][];

export function toStatisticPairs(value: unknown): StatisticPairs {
  return readList(value, 'stats').map((pair) => {
    const [control, treatment] = readList(pair, 'stats');
    return [toStatistic(control), toStatistic(treatment)];
  });
}

export function toSample(value: unknown): Sample {
  const fields = readRecord(value, 'statistic');
  const count = readNumber(fields.n, 'n');
  const sum = readNumber(fields.sum, 'sum');
  switch (readText(fields._type, '_type')) {
    case 'ProportionStatistic':
      return proportionSample({ count, successes: sum });
    case 'SampleMeanStatistic':
      return meanSampleFromSums({ count, sum, sumSquares: readNumber(fields.sum_squares, 'sum_squares') });
    default:
      throw new TypeError(`${String(fields._type)} is no sample`);
  }
}

export function toStatistic(value: unknown): Statistic {
  const fields = readRecord(value, 'statistic');
  const type = readText(fields._type, '_type');
  const number = (name: string): number => readNumber(fields[name], name);
  const theta = fields.theta === null || fields.theta === undefined ? null : number('theta');
  switch (type) {
    case 'ProportionStatistic':
    case 'SampleMeanStatistic':
      return sampleStatistic(toSample(fields));
    case 'RatioStatistic':
      return ratioStatistic(toParts(fields, 'm_statistic', 'd_statistic', 'm_d_sum_of_products'));
    case 'RegressionAdjustedStatistic': {
      const post = toSample(fields.post_statistic);
      const pre = toSample(fields.pre_statistic);
      const coMoment = coMomentFromSums(number('post_pre_sum_of_products'), post, pre);
      return { kind: 'cuped', count: number('n'), post, pre, coMoment, theta };
    }
    case 'RegressionAdjustedRatioStatistic': {
      const post = toParts(fields, 'm_statistic_post', 'd_statistic_post', 'm_post_d_post_sum_of_products');
      const pre = toParts(fields, 'm_statistic_pre', 'd_statistic_pre', 'm_pre_d_pre_sum_of_products');
      const cross = {
        numeratorNumerator: coMomentFromSums(number('m_post_m_pre_sum_of_products'), post.numerator, pre.numerator),
        numeratorDenominator: coMomentFromSums(number('m_post_d_pre_sum_of_products'), post.numerator, pre.denominator),
        denominatorNumerator: coMomentFromSums(number('m_pre_d_post_sum_of_products'), post.denominator, pre.numerator),
        denominatorDenominator: coMomentFromSums(
          number('d_post_d_pre_sum_of_products'),
          post.denominator,
          pre.denominator,
        ),
      };
      return { kind: 'cuped-ratio', count: number('n'), post, pre, cross, theta };
    }
    case 'QuantileStatistic':
      return toQuantile(number);
    case 'QuantileClusteredStatistic':
      return {
        ...toQuantile(number),
        clusters: {
          unitCount: number('n_clusters'),
          belowSum: number('main_sum'),
          belowSumSquares: number('main_sum_squares'),
          eventSum: number('denominator_sum'),
          eventSumSquares: number('denominator_sum_squares'),
          productSum: number('main_denominator_sum_product'),
        },
      };
    default:
      throw new TypeError(`there is no statistic ${type}`);
  }
}

function toParts(fields: JsonRecord, numeratorName: string, denominatorName: string, productName: string): RatioParts {
  const numerator = toSample(fields[numeratorName]);
  const denominator = toSample(fields[denominatorName]);
  const products = readNumber(fields[productName], productName);
  return { numerator, denominator, coMoment: coMomentFromSums(products, numerator, denominator) };
}

function toQuantile(number: (name: string) => number): QuantileStatistic {
  return {
    kind: 'quantile',
    count: number('n'),
    boundsCount: number('n_star'),
    level: number('nu'),
    estimate: number('quantile_hat'),
    lower: number('quantile_lower'),
    upper: number('quantile_upper'),
  };
}

/** Null for a prior that is missing or flat. */
export function toPrior(value: unknown): EffectPrior | null {
  if (value === null || value === undefined) return null;
  const fields = readRecord(value, 'prior');
  if (fields.proper !== true) return null;
  return { mean: readNumber(fields.mean, 'mean'), variance: readNumber(fields.variance, 'variance') };
}
