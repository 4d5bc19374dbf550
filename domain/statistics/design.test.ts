// Checks bandits, group-sequential bounds, power, sample ratios over a ramp and the numerical tools under them.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { banditWeights, rankProbabilities } from './bandit.ts';
import { findBoundedMinimum } from './bounded-minimum.ts';
import { groupSequentialBounds } from './group-sequential.ts';
import { invertSymmetric } from './matrix.ts';
import { additionalUnits, midExperimentPower } from './mid-experiment-power.ts';
import { momentsOf } from './moments.ts';
import { minimumDetectableEffect, planPower, sampleSize } from './power.ts';
import { poweredEffect, requiredUnits } from './powered-effect.ts';
import { isComputed, type Outcome } from './result.ts';
import { meanSample, meanSampleFromSums, proportionSample } from './sample.ts';
import { testSampleRatio, testSampleRatioByPeriod } from './sample-ratio.ts';

const SEED = { seed: 20240611 };

function value<T>(outcome: Outcome<T>): T {
  if (!isComputed(outcome)) throw new Error(outcome.detail);
  return outcome;
}

describe('bandits', () => {
  const posterior = fc.record({
    mean: fc.double({ min: -3, max: 3, noNaN: true }),
    deviation: fc.double({ min: 0.01, max: 5, noNaN: true }),
  });

  it('have rank probabilities that sum to one', () => {
    fc.assert(
      fc.property(fc.array(posterior, { minLength: 2, maxLength: 6 }), (arms) => {
        const ranks = rankProbabilities(arms);
        expect(ranks.reduce((sum, rank) => sum + rank.first, 0)).toBeCloseTo(1, 9);
        expect(ranks.reduce((sum, rank) => sum + rank.second, 0)).toBeCloseTo(1, 9);
      }),
      SEED,
    );
  });

  it('know the closed form for two arms', () => {
    const [a] = rankProbabilities([
      { mean: 1, deviation: 3 },
      { mean: 0, deviation: 4 },
    ]);
    expect(a!.first).toBeCloseTo(0.579259709439103, 9);
  });

  it('keep their weights until every arm has a hundred units', () => {
    const arm = (count: number, mean: number) => ({ count, mean, variance: 1 });
    const options = { alpha: 0.05, prior: null };
    expect(value(banditWeights([arm(100, 0), arm(99, 1)], options)).weights).toBeNull();
    const weights = value(banditWeights([arm(100, 0), arm(100, 1), arm(100, 0.9)], options)).weights!;
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
    expect(Math.min(...weights)).toBeGreaterThanOrEqual(0.01);
  });
});

describe('group-sequential bounds', () => {
  it('spend all of alpha at one look, and are stricter at early looks', () => {
    expect(value(groupSequentialBounds([1], { alpha: 0.05, sides: 2 })).bounds[0]).toBeCloseTo(1.95996, 4);
    const { bounds } = value(groupSequentialBounds([0.25, 0.5, 0.75, 1], { alpha: 0.05, sides: 2 }));
    for (let i = 1; i < bounds.length; i++) expect(bounds[i]!).toBeLessThan(bounds[i - 1]!);
    expect(bounds.at(-1)!).toBeGreaterThan(1.96);
  });

  it('share a bound between looks without new information and refuse information that shrinks', () => {
    const { bounds } = value(groupSequentialBounds([0.5, 0.5, 1], { alpha: 0.05, sides: 1 }));
    expect(bounds[1]).toBe(bounds[0]);
    expect(groupSequentialBounds([0.5, 0.4], { alpha: 0.05, sides: 1 }).status).toBe('not-computable');
  });
});

describe('power', () => {
  const plan = { mean: 10, variance: 400, units: 20_000, variants: 2, alpha: 0.05 };

  it('at the minimum detectable effect is the power asked for', () => {
    for (const tuned of [plan, { ...plan, sequentialTuningUnits: 5000 }]) {
      const { relativeEffect } = value(minimumDetectableEffect(tuned, 0.8));
      expect(planPower(tuned, relativeEffect)).toBeCloseTo(0.8, 3);
    }
    expect(minimumDetectableEffect({ ...plan, units: 10 }, 0.8).status).toBe('not-computable');
  });

  it('of a running experiment reaches its target after the additional units', () => {
    const running = { standardError: 0.05, unitCount: 1000, targetEffect: 0.04, alpha: 0.05 };
    const { scalingFactor, additionalUnits: units } = value(additionalUnits(running));
    expect(midExperimentPower(running, scalingFactor)).toBeCloseTo(0.8, 4);
    expect(units).toBeCloseTo(1000 * scalingFactor, 6);
    expect(additionalUnits({ ...running, targetEffect: 0 }).status).toBe('not-computable');
  });

  it('needs the units of the textbook', () => {
    expect(value(sampleSize({ absoluteEffect: 0.3, variance: 100 })).total).toBe(39904);
    const comparison = {
      controlMean: 0.4,
      controlVariance: 0.24,
      binary: true,
      nonInferiority: false,
      controlPerTreatment: 1,
      comparedShare: 1,
      zAlpha: 1.959964,
      zPower: 0.841621,
    };
    const units = requiredUnits(comparison, 0.05);
    expect(poweredEffect(comparison, units)).toBeCloseTo(0.05, 3);
  });
});

describe('sample ratios over a ramp', () => {
  it('do not take a planned change of the mix for a mismatch', () => {
    const planned = [
      [
        { observed: 900, weight: 9 },
        { observed: 100, weight: 1 },
      ],
      [
        { observed: 505, weight: 1 },
        { observed: 495, weight: 1 },
      ],
    ];
    expect(value(testSampleRatioByPeriod(planned)).pValue).toBeGreaterThan(0.5);
    const together = [
      { observed: 1405, weight: 1 },
      { observed: 595, weight: 1 },
    ];
    expect(value(testSampleRatio(together)).pValue).toBeLessThan(1e-9);
  });
});

describe('small numerical tools', () => {
  it('find a minimum and invert a matrix', () => {
    const found = findBoundedMinimum((x) => (x - 2) ** 2, { lower: 0, upper: 5, tolerance: 1e-9, mostCalls: 100 });
    expect(found.x).toBeCloseTo(2, 6);
    expect(
      invertSymmetric([
        [4, 2],
        [2, 3],
      ]),
    ).toEqual([
      [expect.closeTo(0.375, 12), expect.closeTo(-0.25, 12)],
      [expect.closeTo(-0.25, 12), expect.closeTo(0.5, 12)],
    ]);
    expect(
      invertSymmetric([
        [1, 1],
        [1, 1],
      ]),
    ).toBeNull();
  });

  it('make the same sample from sums as from moments', () => {
    expect(meanSampleFromSums({ count: 3, sum: 6, sumSquares: 14 })).toEqual(meanSample(momentsOf([1, 2, 3])));
    expect(proportionSample({ count: 4, successes: 1 })).toMatchObject({ mean: 0.25, m2: 0.75 });
  });
});
