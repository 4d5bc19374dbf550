// Tests of the splits: shares, no household in two of them, later days for the test, the same answer in every build.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createSplitter, defaultSplitConfig } from './split.ts';

const range = { firstMicros: 0n, lastMicros: 1_000_000n };
const { splitOf, testFromMicros } = createSplitter(range);
const households = Array.from({ length: 4_000 }, (_, index) => `household-${index}`);
const splitsOf = (household: string) =>
  [0n, testFromMicros - 1n, testFromMicros, 1_000_000n].map((time) => splitOf(household, time));

describe('createSplitter', () => {
  test('spreads households by the shares', () => {
    const groups = households.map((household) => {
      const early = splitOf(household, 0n);
      return 'split' in early ? early.split : 'test';
    });
    const shareOf = (group: string) => groups.filter((name) => name === group).length / groups.length;
    expect(shareOf('training')).toBeCloseTo(defaultSplitConfig.trainingShare, 1);
    expect(shareOf('validation')).toBeCloseTo(defaultSplitConfig.validationShare, 1);
    expect(shareOf('test')).toBeCloseTo(1 - defaultSplitConfig.trainingShare - defaultSplitConfig.validationShare, 1);
  });

  test('trains on early days, tests on late ones, and says why a row is left out', () => {
    expect(testFromMicros).toBe(600_000n);
    for (const household of households.slice(0, 200)) {
      const [first, lastEarly, firstLate, last] = splitsOf(household);
      expect(lastEarly).toEqual(first);
      expect(last).toEqual(firstLate);
      if (first !== undefined && 'split' in first) {
        expect(first.split).not.toBe('test');
        expect(last).toEqual({ excluded: 'training-household-in-test-time' });
      } else {
        expect(first).toEqual({ excluded: 'test-household-in-training-time' });
        expect(last).toEqual({ split: 'test' });
      }
    }
  });

  test('gives a household the same group, whatever the days of the dataset', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.bigInt(1n, 10n ** 15n), (household, span) => {
        const other = createSplitter({ firstMicros: span, lastMicros: 2n * span });
        const isTest = (place: ReturnType<typeof splitOf>) => 'split' in place && place.split === 'test';
        expect(isTest(other.splitOf(household, 2n * span))).toBe(isTest(splitOf(household, 1_000_000n)));
      }),
      { seed: 20260107 },
    );
  });
});
