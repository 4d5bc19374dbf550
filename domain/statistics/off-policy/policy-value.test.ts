// Checks off-policy estimates against hand-made logs, and that they refuse what cannot be estimated.
import { describe, expect, it } from 'vitest';
import { isComputed } from '../result.ts';
import { overlapDiagnostics } from './estimators.ts';
import { type LoggedRounds, prepareRounds } from './logged-rounds.ts';
import { estimatePolicyValue, estimatePolicyValueWithInterval, percentile } from './policy-value.ts';

const log: LoggedRounds = {
  rewards: [1, 0, 1, 0],
  actions: [0, 1, 1, 0],
  loggingProbabilities: [0.5, 0.5, 0.25, 0.5],
  targetProbabilities: [
    [1, 0],
    [0, 1],
    [0.5, 0.5],
    [0, 1],
  ],
  expectedRewards: [
    [0.8, 0.1],
    [0.2, 0.4],
    [0.5, 0.5],
    [0.3, 0.7],
  ],
};

function valueOfEstimator(...estimator: Parameters<typeof estimatePolicyValue>[1][]): number[] {
  return estimator.map((one) => {
    const outcome = estimatePolicyValue(log, one);
    return isComputed(outcome) ? outcome.value : Number.NaN;
  });
}

describe('the estimated value of a policy', () => {
  it('is what it is by hand, with the weights 2, 2, 2 and 0', () => {
    const lambda = 1;
    const [ips, clipped, snips, direct, robust, switched] = valueOfEstimator(
      { kind: 'ips' },
      { kind: 'clipped-ips', lambda },
      { kind: 'snips' },
      { kind: 'direct-method' },
      { kind: 'doubly-robust' },
      { kind: 'switch-doubly-robust', lambda },
    );
    expect(ips).toBe(1);
    expect(clipped).toBe(0.5);
    expect(snips).toBeCloseTo(2 / 3, 12);
    expect(direct).toBeCloseTo((0.8 + 0.4 + 0.5 + 0.7) / 4, 12);
    expect(robust).toBeCloseTo(0.6 + (2 * 0.2 - 2 * 0.4 + 2 * 0.5) / 4, 12);
    expect(switched).toBeCloseTo(0.6, 12);
  });

  it('is not computable without overlap, without a model, or from impossible logs', () => {
    const reasonOf = (rounds: LoggedRounds, kind: 'ips' | 'replay' | 'doubly-robust') => {
      const outcome = estimatePolicyValue(rounds, { kind });
      return isComputed(outcome) ? 'computed' : outcome.reason;
    };
    const never = { ...log, targetProbabilities: log.actions.map((action) => (action === 0 ? [0, 1] : [1, 0])) };
    expect(reasonOf(never, 'ips')).toBe('no-overlap');
    const { expectedRewards: _, ...withoutModel } = log;
    expect(reasonOf(withoutModel, 'doubly-robust')).toBe('invalid-input');
    expect(reasonOf(withoutModel, 'ips')).toBe('computed');
    expect(reasonOf({ ...log, loggingProbabilities: [0.5, 0, 0.25, 0.5] }, 'ips')).toBe('invalid-input');
    expect(reasonOf({ ...log, targetProbabilities: log.rewards.map(() => [0.2, 0.2]) }, 'replay')).toBe(
      'invalid-input',
    );
    expect(reasonOf({ ...log, rewards: [] }, 'ips')).toBe('no-data');
  });

  it('has an interval only when the log is worth enough rounds, the same one for the same seed', () => {
    const few = estimatePolicyValueWithInterval(log, { kind: 'ips' }, { seed: 1 });
    expect(few).toMatchObject({ status: 'not-computable', reason: 'no-overlap' });
    const many = (seed: number) =>
      estimatePolicyValueWithInterval(log, { kind: 'snips' }, { seed, samples: 500, smallestEffectiveSampleSize: 1 });
    expect(many(7)).toEqual(many(7));
    expect(many(7)).toMatchObject({
      status: 'computed',
      overlap: { effectiveSampleSize: 3, largestWeight: 2, supportedShare: 0.75 },
    });
  });

  it('draws whole units when rounds belong to units, which widens the interval', () => {
    const repeated = (times: number): LoggedRounds => ({
      rewards: Array.from({ length: 200 }, (_, i) => (Math.floor(i / times) % 2 === 0 ? 1 : 0)),
      actions: new Array(200).fill(0),
      loggingProbabilities: new Array(200).fill(1),
      targetProbabilities: new Array(200).fill([1]),
    });
    const width = (clusters?: number[]) => {
      const options = { seed: 3, samples: 400, ...(clusters === undefined ? {} : { clusters }) };
      const outcome = estimatePolicyValueWithInterval(repeated(10), { kind: 'ips' }, options);
      return isComputed(outcome) ? outcome.interval.upper - outcome.interval.lower : Number.NaN;
    };
    const clusters = Array.from({ length: 200 }, (_, i) => Math.floor(i / 10));
    // Ten equal rounds per unit: the interval is wider by about the root of ten.
    expect(width(clusters) / width()).toBeGreaterThan(2);
  });

  it('knows the overlap of a log and the percentiles of a list', () => {
    const prepared = prepareRounds(log);
    if ('status' in prepared) throw new Error(prepared.detail);
    expect(overlapDiagnostics(prepared)).toEqual({
      roundCount: 4,
      effectiveSampleSize: 3,
      largestWeight: 2,
      meanWeight: 1.5,
      supportedShare: 0.75,
    });
    expect(percentile([1, 2, 3, 4], 0.5)).toBe(2.5);
  });
});
