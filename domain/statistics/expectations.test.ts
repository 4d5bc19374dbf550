// Compares the statistics with values that SciPy and statsmodels computed, see expectations/make_expectations.py.
import { describe, expect, it } from 'vitest';
import { normalParts } from './bayesian.ts';
import { adjustForCovariate, estimateEffect } from './effect.ts';
import expectations from './expectations/expectations.json' with { type: 'json' };
import { momentsOf } from './moments.ts';
import { type Adjustment, adjustPValues } from './multiple-testing.ts';
import { isComputed, type Outcome } from './result.ts';
import { meanSample, proportionSample } from './sample.ts';
import { testSampleRatio } from './sample-ratio.ts';
import {
  chiSquareSurvival,
  logMultivariateBeta,
  normalCdf,
  normalDensity,
  normalQuantile,
  normalSurvival,
  studentQuantile,
  studentSurvival,
} from './special-functions.ts';
import { sampleStatistic } from './statistic.ts';
import { welchDegreesOfFreedom, welchTest } from './t-test.ts';
import { testDifference, testProportions } from './z-test.ts';

/** Relative to the expected value, and absolute where that is below 1e-290, near the end of the doubles. */
function expectClose(actual: number, expected: number, tolerance = 1e-10): void {
  expect(Math.abs(actual - expected), `${actual} is not close to ${expected}`).toBeLessThanOrEqual(
    tolerance * Math.abs(expected) + 1e-290,
  );
}

function value<T>(outcome: Outcome<T>): T {
  if (!isComputed(outcome)) throw new Error(outcome.detail);
  return outcome;
}

describe('special functions agree with SciPy', () => {
  const unary = { normalCdf, normalSurvival, normalDensity, normalQuantile };
  it.each(Object.keys(unary) as (keyof typeof unary)[])('%s', (name) => {
    for (const [x, expected] of expectations.specialFunctions[name]) {
      const actual = unary[name](x!);
      // A quantile near zero is a difference of two halves: its error is absolute.
      if (Math.abs(expected!) < 1e-3 && name === 'normalQuantile')
        expect(Math.abs(actual - expected!)).toBeLessThan(1e-10);
      else expectClose(actual, expected!);
    }
  });

  const binary = { studentSurvival, studentQuantile, chiSquareSurvival };
  it.each(Object.keys(binary) as (keyof typeof binary)[])('%s', (name) => {
    for (const [x, parameter, expected] of expectations.specialFunctions[name]) {
      const actual = binary[name](x!, parameter!);
      if (Math.abs(expected!) < 1e-3 && name === 'studentQuantile')
        expect(Math.abs(actual - expected!)).toBeLessThan(1e-10);
      else expectClose(actual, expected!);
    }
  });

  it('logMultivariateBeta', () => {
    for (const row of expectations.specialFunctions.logMultivariateBeta) {
      // Terms of a million cancel: the digits that are left are those of the largest term.
      const scale = row.slice(0, -1).reduce((sum, a) => sum + a, 1) * 20;
      const actual = logMultivariateBeta(row.slice(0, -1));
      expect(Math.abs(actual - row.at(-1)!)).toBeLessThanOrEqual(1e-13 * scale);
    }
  });
});

describe('tests of two samples agree with SciPy', () => {
  it.each(expectations.samples)('pair %#: Welch on both sides and the z-test', (sample) => {
    const control = meanSample(momentsOf(sample.control));
    const treatment = meanSample(momentsOf(sample.treatment));
    const [a, b] = [sampleStatistic(control), sampleStatistic(treatment)];
    const effect = estimateEffect(a, b, { scale: 'absolute' });
    const both = value(welchTest(effect, a, b, { alpha: 0.05 }));
    expectClose(both.estimate, sample.estimate);
    expectClose(both.pValue, sample.twoSided);
    expectClose(both.interval.lower, sample.interval[0]!);
    expectClose(both.interval.upper, sample.interval[1]!);
    expectClose(value(welchTest(effect, a, b, { alpha: 0.05, alternative: 'larger' })).pValue, sample.larger);
    expectClose(value(welchTest(effect, a, b, { alpha: 0.05, alternative: 'smaller' })).pValue, sample.smaller);
    const part = (s: typeof control) => ({ variance: s.m2 / (s.count - 1), count: s.count });
    expectClose(welchDegreesOfFreedom(part(control), part(treatment)), sample.degreesOfFreedom);
    expectClose(value(testDifference(control, treatment, { alpha: 0.05 })).pValue, sample.zTwoSided);
  });

  it('and CUPED from sums agrees with an adjustment of every unit', () => {
    for (const { pre, post, size, theta, estimate, standardError } of expectations.covariates) {
      const arm = (from: number) => {
        const [x, y] = [pre.slice(from, from + size), post.slice(from, from + size)];
        const [preSample, postSample] = [meanSample(momentsOf(x)), meanSample(momentsOf(y))];
        const coMoment = x.reduce((sum, v, i) => sum + (v - preSample.mean) * (y[i]! - postSample.mean), 0);
        return { kind: 'cuped', count: size, post: postSample, pre: preSample, coMoment, theta: null } as const;
      };
      const [control, treatment] = adjustForCovariate(arm(0), arm(size));
      expect(control.kind).toBe('cuped');
      if (control.kind === 'cuped') expectClose(control.theta!, theta);
      const effect = value(estimateEffect(control, treatment, { scale: 'absolute' }));
      expectClose(effect.estimate, estimate);
      expectClose(effect.standardError, standardError);
    }
  });

  it('and proportions agree with statsmodels', () => {
    for (const { successes, counts, pValue } of expectations.proportions) {
      const sample = (i: number) => proportionSample({ count: counts[i]!, successes: successes[i]! });
      expectClose(value(testProportions(sample(0), sample(1), { alpha: 0.05 })).pValue, pValue);
    }
  });
});

describe('corrections for several tests agree with statsmodels', () => {
  it.each(expectations.corrections)('$method at alpha $alpha', ({ pValues, alpha, method, adjusted, rejected }) => {
    const actual = adjustPValues(pValues, { method: method as Adjustment, alpha });
    expect(actual.map((one) => one.rejected)).toEqual(rejected);
    adjusted.forEach((expected, i) => {
      expectClose(actual[i]!.pValue, expected, 1e-12);
    });
  });
});

describe('sample ratios and expected losses', () => {
  it('agree with the chi-square test of SciPy', () => {
    for (const { observed, weights, pValue } of expectations.sampleRatios) {
      const variants = observed.map((count, i) => ({ observed: count, weight: weights[i]! }));
      expectClose(value(testSampleRatio(variants)).pValue, pValue);
    }
  });

  it('agree with a numerical integral of the positive and negative part', () => {
    for (const [mean, deviation, positive, negative] of expectations.expectedParts) {
      const parts = normalParts(mean!, deviation!);
      expect(Math.abs(parts.positive - positive!)).toBeLessThan(1e-8);
      expect(Math.abs(parts.negative - negative!)).toBeLessThan(1e-8);
    }
  });
});
