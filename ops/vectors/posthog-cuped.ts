// Runs PostHog's frequentist tests (means, proportions, ratios) and its CUPED cases, to the decimals that each case gives.
import { bayesianTest } from '#domain/statistics/bayesian.ts';
import { type CupedStatistic, cupedCovariance } from '#domain/statistics/cuped.ts';
import { adjustForCovariate, estimateEffect } from '#domain/statistics/effect.ts';
import type { Interval } from '#domain/statistics/hypothesis.ts';
import { ratioStatistic } from '#domain/statistics/ratio.ts';
import { coMomentFromSums, meanSampleFromSums, proportionSample, type Sample } from '#domain/statistics/sample.ts';
import { linearize, type Statistic, sampleStatistic, varianceOfStatistic } from '#domain/statistics/statistic.ts';
import { welchTest } from '#domain/statistics/t-test.ts';
import { createDifferences, type Differences, expectComputed } from './differences.ts';
import { type JsonRecord, readList, readNumber, readNumberOr, readNumbers, readRecord } from './json-reader.ts';
import { createVectorTally, type VectorKind } from './vector-kind.ts';

export const posthogCupedVectors: VectorKind = {
  fileName: 'posthog-cuped.json',
  run(content) {
    const tally = createVectorTally();
    const { frequentist, cuped } = readRecord(content);
    for (const [cases, run] of [
      [frequentist, runTest],
      [cuped, runCuped],
    ] as const) {
      for (const item of readList(cases ?? [])) {
        const fields = readRecord(item);
        tally.attempt(String(fields.name), () => {
          const differences = createDifferences();
          run(fields, differences);
          return differences.verdict();
        });
      }
    }
    return tally.report();
  },
};

/** Half a unit of the last decimal of a case. */
function toleranceOf(fields: JsonRecord): number {
  return 0.5001 * 10 ** -readNumber(fields.decimals, 'decimals');
}

function toSample(value: unknown, count: number): Sample {
  const fields = readRecord(value, 'sums');
  const sum = readNumber(fields.sum, 'sum');
  return meanSampleFromSums({ count, sum, sumSquares: readNumber(fields.sumSquares, 'sumSquares') });
}

function toStatistic(value: unknown): Statistic {
  const fields = readRecord(value, 'statistic');
  const count = readNumber(fields.n, 'n');
  switch (fields.type) {
    case 'mean':
      return sampleStatistic(toSample(fields, count));
    case 'proportion':
      return sampleStatistic(proportionSample({ count, successes: readNumber(fields.sum, 'sum') }));
    case 'ratio': {
      const numerator = toSample(fields.m, count);
      const denominator = toSample(fields.d, count);
      const products = readNumber(fields.mdSumOfProducts, 'mdSumOfProducts');
      return ratioStatistic({ numerator, denominator, coMoment: coMomentFromSums(products, numerator, denominator) });
    }
    default:
      throw new TypeError(`there is no statistic ${String(fields.type)}`);
  }
}

function runTest(fields: JsonRecord, differences: Differences): void {
  const expected = readRecord(fields.expected, 'expected');
  const tolerance = toleranceOf(fields);
  const control = toStatistic(fields.control);
  const treatment = toStatistic(fields.treatment);
  const scale = fields.differenceType === 'relative' ? 'relative' : 'absolute';
  const effect = estimateEffect(control, treatment, { scale });
  const result = expectComputed(welchTest(effect, control, treatment, { alpha: readNumber(fields.alpha, 'alpha') }));
  const [lower, upper] = readNumbers(expected.ci, 'ci');
  differences.number('estimate', result.estimate, readNumber(expected.point, 'point'), tolerance);
  differences.number('lower', result.interval.lower, lower!, tolerance);
  differences.number('upper', result.interval.upper, upper!, tolerance);
  differences.number('p-value', result.pValue, readNumber(expected.p, 'p'), tolerance);
}

function toCuped(value: unknown, theta: number | null): CupedStatistic {
  const fields = readRecord(value, 'statistic');
  const count = readNumber(readRecord(fields.post, 'post').n, 'n');
  const post = toSample(fields.post, count);
  const pre = toSample(fields.pre, count);
  const coMoment = coMomentFromSums(readNumber(fields.crossProducts, 'crossProducts'), post, pre);
  return { kind: 'cuped', count, post, pre, coMoment, theta };
}

function runCuped(fields: JsonRecord, differences: Differences): void {
  const expected = readRecord(fields.expected, 'expected');
  const tolerance = toleranceOf(fields);
  const compare = (key: string, actual: number): void => {
    if (expected[key] !== undefined) differences.number(key, actual, readNumber(expected[key], key), tolerance);
  };
  if (fields.control !== undefined) {
    compareEffect(fields, compare);
    for (const [key, interval] of Object.entries(effectIntervals(fields))) {
      if (expected[key] === undefined) continue;
      const [lower, upper] = readNumbers(expected[key], key);
      differences.number(`${key} lower`, interval.lower, lower!, tolerance);
      differences.number(`${key} upper`, interval.upper, upper!, tolerance);
    }
  } else if (fields.postSum !== undefined) {
    const count = readNumber(fields.n, 'n');
    const sample = (sum: unknown): Sample => meanSampleFromSums({ count, sum: readNumber(sum), sumSquares: 0 });
    const post = sample(fields.postSum);
    const pre = sample(fields.preSum);
    const coMoment = coMomentFromSums(readNumber(fields.crossProducts, 'crossProducts'), post, pre);
    compare('cov', cupedCovariance({ kind: 'cuped', count, post, pre, coMoment, theta: null })[0]![1]!);
  } else {
    const statistic = toCuped(fields, readNumber(fields.theta, 'theta'));
    compare('mean', linearize(statistic).value);
    compare('variance', varianceOfStatistic(statistic));
  }
}

function adjustedPair(fields: JsonRecord): [Statistic, Statistic] {
  return adjustForCovariate(toCuped(fields.control, null), toCuped(fields.treatment, null));
}

function compareEffect(fields: JsonRecord, compare: (key: string, actual: number) => void): void {
  const [control, treatment] = adjustedPair(fields);
  compare('controlMean', linearize(control).baseline);
  compare('treatmentMean', linearize(treatment).baseline);
  compare('theta', control.kind === 'cuped' ? (control.theta ?? 0) : 0);
  compare('controlAdjustedMean', linearize(control).value);
  compare('treatmentAdjustedMean', linearize(treatment).value);
  compare('relativeEffect', expectComputed(estimateEffect(control, treatment, { scale: 'relative' })).estimate);
}

function effectIntervals(fields: JsonRecord): { freqCi: Interval; bayesCi: Interval } {
  const alpha = readNumberOr(fields.alpha, 0.05, 'alpha');
  const [control, treatment] = adjustedPair(fields);
  const effect = estimateEffect(control, treatment, { scale: 'relative', cupedBaseline: 'as-adjusted' });
  return {
    freqCi: expectComputed(welchTest(effect, control, treatment, { alpha })).interval,
    bayesCi: expectComputed(bayesianTest(effect, { alpha, prior: null })).interval,
  };
}
