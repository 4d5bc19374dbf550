// Checks the moment accumulators against the two-pass formulas and their merge against one stream.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addToMoments, EMPTY_MOMENTS, mergeMoments, momentsFromSums, momentsOf, sampleVariance } from './moments.ts';

const SEED = { seed: 20240611 };
const values = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { maxLength: 60 });

function closeTo(actual: number, expected: number, scale: number): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-9 * Math.max(scale, 1e-12));
}

describe('moments', () => {
  it('equal the two-pass formulas', () => {
    fc.assert(
      fc.property(values, (xs) => {
        const moments = momentsOf(xs);
        const sum = xs.reduce((a, b) => a + b, 0);
        const mean = xs.length === 0 ? 0 : sum / xs.length;
        const scale = Math.max(1, ...xs.map(Math.abs));
        expect(moments.count).toBe(xs.length);
        closeTo(moments.sum, sum, scale * xs.length);
        closeTo(moments.mean, mean, scale);
        closeTo(
          moments.m2,
          xs.reduce((a, x) => a + (x - mean) ** 2, 0),
          scale * scale * xs.length,
        );
      }),
      SEED,
    );
  });

  it('merge to the moments of one stream, in either order', () => {
    fc.assert(
      fc.property(values, values, (xs, ys) => {
        const whole = momentsOf([...xs, ...ys]);
        const scale = Math.max(1, ...xs.map(Math.abs), ...ys.map(Math.abs));
        for (const merged of [mergeMoments(momentsOf(xs), momentsOf(ys)), mergeMoments(momentsOf(ys), momentsOf(xs))]) {
          expect(merged.count).toBe(whole.count);
          closeTo(merged.sum, whole.sum, scale * 120);
          closeTo(merged.mean, whole.mean, scale);
          closeTo(merged.m2, whole.m2, scale * scale * 120);
        }
        expect(mergeMoments(momentsOf(xs), momentsOf(ys))).toEqual(mergeMoments(momentsOf(ys), momentsOf(xs)));
      }),
      SEED,
    );
  });

  it('keep their digits when the mean is large against the spread', () => {
    const shifted = momentsOf([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16]);
    expect(sampleVariance(shifted)).toEqual({ status: 'computed', value: 30 });
  });

  it('can be made from sums', () => {
    expect(momentsFromSums({ count: 4, sum: 10, sumSquares: 30 })).toEqual({ count: 4, sum: 10, mean: 2.5, m2: 5 });
    expect(momentsFromSums({ count: 0, sum: 0, sumSquares: 0 })).toEqual(EMPTY_MOMENTS);
  });

  it('have no variance for fewer than two values and refuse values that are not finite', () => {
    expect(sampleVariance(momentsOf([3]))).toMatchObject({ status: 'not-computable', reason: 'too-few-units' });
    expect(() => addToMoments(EMPTY_MOMENTS, Number.NaN)).toThrow(RangeError);
  });
});
