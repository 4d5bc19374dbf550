// Tests of paired differences: the means by hand, the interval against the formula for clusters, and who is drawn.

import { describe, expect, test } from 'vitest';
import { createRandom } from '#domain/statistics/random.ts';
import { isComputed } from '#domain/statistics/result.ts';
import { comparePairs, type Pair } from './paired-difference.ts';

const options = { seed: 1, samples: 2_000 };

describe('the difference of two planners', () => {
  test('is the mean over plans, not over households', () => {
    const pairs: Pair[] = [
      { householdId: 'a', model: 1, baseline: 0 },
      { householdId: 'b', model: 0.5, baseline: 0.5 },
      { householdId: 'b', model: 0, baseline: 0.5 },
    ];
    expect(comparePairs(pairs, options)).toMatchObject({
      model: 0.5,
      baseline: 1 / 3,
      difference: expect.closeTo(1 / 6, 12),
      plans: 3,
      households: 2,
    });
  });

  test('has the interval that the standard error over households gives, which is wider than over plans', () => {
    const random = createRandom(5);
    const pairs = Array.from({ length: 200 }, (_, household) => {
      const own = 0.1 * random.normal();
      return Array.from({ length: 4 }, () => ({
        householdId: `h${household}`,
        model: 0.5 + own + 0.05 * random.normal(),
        baseline: 0.45,
      }));
    }).flat();
    const result = comparePairs(pairs, options);
    if (!isComputed(result)) throw new Error(result.detail);
    const means = [...Map.groupBy(pairs, ({ householdId }) => householdId).values()].map(
      (group) => group.reduce((sum, { model, baseline }) => sum + model - baseline, 0) / 4,
    );
    const mean = means.reduce((sum, value) => sum + value, 0) / means.length;
    const variance = means.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (means.length - 1);
    const half = 1.96 * Math.sqrt(variance / means.length);
    expect(result.lower).toBeCloseTo(mean - half, 2);
    expect(result.upper).toBeCloseTo(mean + half, 2);
    expect(comparePairs(pairs, options)).toEqual(result);
  });

  test('cannot be computed from one household, or from none', () => {
    const one = { householdId: 'a', model: 1, baseline: 0 };
    expect(comparePairs([one, one], options)).toMatchObject({ reason: 'too-few-units' });
    expect(comparePairs([], options)).toMatchObject({ reason: 'no-data' });
  });
});
