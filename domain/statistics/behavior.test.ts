// Properties of effects, intervals, strata, corrections and segments that hold whatever the numbers are.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CORRECTION_METHODS, correctComparisons } from './comparison-correction.ts';
import { estimateEffect, mergeStatistics } from './effect.ts';
import { momentsOf } from './moments.ts';
import { ADJUSTMENTS, adjustPValues } from './multiple-testing.ts';
import { stratifiedEffect } from './post-stratification.ts';
import { isComputed, type Outcome } from './result.ts';
import { meanSample } from './sample.ts';
import { correctTests, testHeterogeneity } from './segments.ts';
import { sequentialTest } from './sequential.ts';
import { sampleStatistic } from './statistic.ts';
import { welchTest } from './t-test.ts';

const SEED = { seed: 20240611 };

function value<T>(outcome: Outcome<T>): T {
  if (!isComputed(outcome)) throw new Error(outcome.detail);
  return outcome;
}

const stat = (values: readonly number[]) => sampleStatistic(meanSample(momentsOf(values)));
const values = fc
  .array(fc.integer({ min: 1, max: 1000 }), { minLength: 4, maxLength: 40 })
  .filter((xs) => new Set(xs).size > 1);

describe('effects', () => {
  it('on the relative scale do not depend on the unit of the metric, nor the p-value on either scale', () => {
    fc.assert(
      fc.property(values, values, fc.double({ min: 0.01, max: 100, noNaN: true }), (a, b, unit) => {
        const plain = estimateEffect(stat(a), stat(b), { scale: 'relative' });
        const other = estimateEffect(stat(a.map((x) => x * unit)), stat(b.map((x) => x * unit)), { scale: 'relative' });
        expect(value(other).estimate).toBeCloseTo(value(plain).estimate, 9);
        expect(value(other).standardError).toBeCloseTo(value(plain).standardError, 9);
      }),
      SEED,
    );
  });

  it('change sign when the variants change places', () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        const there = value(estimateEffect(stat(a), stat(b), { scale: 'absolute' }));
        const back = value(estimateEffect(stat(b), stat(a), { scale: 'absolute' }));
        expect(back.estimate).toBeCloseTo(-there.estimate, 9);
        expect(back.standardError).toBeCloseTo(there.standardError, 9);
      }),
      SEED,
    );
  });

  it('of merged parts are those of the whole', () => {
    fc.assert(
      fc.property(values, values, values, (a, b, c) => {
        const merged = value(estimateEffect(mergeStatistics([stat(a), stat(b)]), stat(c), { scale: 'relative' }));
        const whole = value(estimateEffect(stat([...a, ...b]), stat(c), { scale: 'relative' }));
        expect(merged.estimate).toBeCloseTo(whole.estimate, 9);
        expect(merged.standardError).toBeCloseTo(whole.standardError, 9);
      }),
      SEED,
    );
  });

  it('are not computable, with the reason, instead of being zero', () => {
    const reasonOf = (a: number[], b: number[], scale: 'absolute' | 'relative' = 'relative') => {
      const outcome = estimateEffect(stat(a), stat(b), { scale });
      return isComputed(outcome) ? 'computed' : outcome.reason;
    };
    expect(reasonOf([], [1, 2])).toBe('no-data');
    expect(reasonOf([1], [1, 2])).toBe('too-few-units');
    expect(reasonOf([3, 3, 3], [1, 2])).toBe('zero-variance');
    expect(reasonOf([-1, 1], [1, 2])).toBe('zero-baseline-mean');
    expect(reasonOf([-1, 1], [1, 2], 'absolute')).toBe('computed');
  });
});

describe('intervals', () => {
  it('of a sequential test contain those of a fixed horizon', () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        const effect = estimateEffect(stat([...a, ...a, ...a]), stat([...b, ...b, ...b]), { scale: 'absolute' });
        const { units, interval } = {
          units: value(effect).unitCount,
          interval: value(sequentialTest(effect, { alpha: 0.05 })).interval,
        };
        const z = 1.959963984540054 * value(effect).standardError;
        expect(interval.upper - value(effect).estimate).toBeGreaterThan(z);
        expect(units).toBe(3 * (a.length + b.length));
      }),
      SEED,
    );
  });

  it('exclude zero exactly when the p-value is below alpha', () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        const effect = estimateEffect(stat(a), stat(b), { scale: 'absolute' });
        const welch = value(welchTest(effect, stat(a), stat(b), { alpha: 0.05 }));
        const sequential = value(sequentialTest(effect, { alpha: 0.05 }));
        for (const { interval, pValue } of [welch, sequential]) {
          expect(interval.lower > 0 || interval.upper < 0).toBe(pValue < 0.05);
        }
      }),
      SEED,
    );
  });
});

describe('post-stratification', () => {
  it('removes an effect that is only a changed mix (Simpson)', () => {
    // Treatment is better in no stratum, but has more units where values are high.
    const arm = (count: number, mean: number) => sampleStatistic(meanSample({ count, mean, m2: count }));
    const strata = [
      [arm(900, 10), arm(100, 10)],
      [arm(100, 20), arm(900, 20)],
    ] as const;
    const plain = value(
      estimateEffect(mergeStatistics([strata[0][0], strata[1][0]]), mergeStatistics([strata[0][1], strata[1][1]]), {
        scale: 'absolute',
      }),
    );
    expect(plain.estimate).toBeCloseTo(8, 9);
    const stratified = value(stratifiedEffect(strata, { scale: 'absolute' }));
    expect(stratified.estimate).toBeCloseTo(0, 9);
    expect(stratified.strataCount).toBe(2);
  });

  it('joins strata too small for an effect with the largest one', () => {
    const stratum = (count: number) =>
      [stat(Array.from({ length: count }, (_, i) => i)), stat(Array.from({ length: count }, (_, i) => i + 1))] as const;
    const result = value(stratifiedEffect([stratum(1), stratum(30), stratum(20)], { scale: 'absolute' }));
    expect(result.strataCount).toBe(2);
    expect(result.unitCount).toBe(102);
  });
});

describe('corrections', () => {
  const pValues = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 });

  it('keep the order of the p-values, and never make one smaller except in two stages', () => {
    fc.assert(
      fc.property(pValues, fc.constantFrom(...ADJUSTMENTS), (ps, method) => {
        const adjusted = adjustPValues(ps, { method, alpha: 0.05 });
        ps.forEach((p, i) => {
          if (!method.startsWith('fdr_ts')) expect(adjusted[i]!.pValue).toBeGreaterThanOrEqual(p * (1 - 1e-12) - 1e-15);
          ps.forEach((q, j) => {
            if (p < q) expect(adjusted[i]!.pValue).toBeLessThanOrEqual(adjusted[j]!.pValue);
          });
        });
      }),
      SEED,
    );
  });

  it('of spot-1 methods do not make a success metric pay for guardrails', () => {
    const success = { pValue: 0.04, twoSided: true, nonInferiority: false };
    const guardrail = { pValue: 0.2, twoSided: false, nonInferiority: true };
    const level = (method: (typeof CORRECTION_METHODS)[number]) =>
      correctComparisons([success, guardrail, guardrail], { method, alpha: 0.05 })[0]!;
    expect(level('bonferroni')).toMatchObject({ adjustedAlpha: 0.05 / 3, significant: false });
    expect(level('spot-1-bonferroni')).toMatchObject({ adjustedAlpha: 0.05, significant: true });
    expect(level('bonferroni-only-count-twosided').significant).toBe(true);
  });

  it('number twenty-two', () => {
    expect(new Set(CORRECTION_METHODS).size).toBe(22);
  });
});

describe('segments', () => {
  const base = Array.from({ length: 200 }, (_, i) => i % 20);
  const segments = [0, 0, 5].map((shift) => ({
    control: stat(base),
    treatment: stat(base.map((x) => x + shift)),
  }));

  it('are corrected together and compared with each other', () => {
    const tests = [...segments, { control: stat([1]), treatment: stat([2]) }].map(({ control, treatment }) =>
      welchTest(estimateEffect(control, treatment, { scale: 'absolute' }), control, treatment, { alpha: 0.05 }),
    );
    const corrected = correctTests(tests, { alpha: 0.05, correction: 'holm' });
    const significant = corrected.map((result) => (isComputed(result) ? result.significant : result.reason));
    expect(significant).toEqual([false, false, true, 'too-few-units']);
    const found = corrected.filter(isComputed);
    expect(value(testHeterogeneity(found)).pValue).toBeLessThan(1e-6);
    expect(value(testHeterogeneity(found.slice(0, 2))).pValue).toBe(1);
  });
});
