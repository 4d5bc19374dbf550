// Checks the accuracy, the encoding and the merge of the percentile sketch.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  binOf,
  mergeSketches,
  quantile,
  SKETCH_LOG_GAMMA,
  SKETCH_RELATIVE_ACCURACY,
  SKETCH_SMALLEST_MAGNITUDE,
  sketchOf,
  valueOfBin,
} from './sketch.ts';

const SEED = { seed: 20240611 };
const finite = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.double({ min: -1e6, max: 1e6, noNaN: true }),
  fc.integer({ min: -20, max: 20 }),
);

describe('the bins of a sketch', () => {
  it('have the logarithm base of one percent accuracy', () => {
    expect(SKETCH_LOG_GAMMA).toBeCloseTo(Math.log((1 + SKETCH_RELATIVE_ACCURACY) / (1 - SKETCH_RELATIVE_ACCURACY)), 15);
  });

  it('have the published numbers of version 1', () => {
    const values = [0, 9.9e-10, 1e-9, 1, 1.0001, 2, 100, 1e6, Number.MAX_VALUE, -1, -100, -1e-9];
    expect(values.map(binOf)).toEqual([0, 0, 1, 1037, 1038, 1072, 1268, 1728, 36525, -1037, -1268, -1]);
  });

  it('sort like the values they hold', () => {
    fc.assert(
      fc.property(finite, finite, (a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        expect(binOf(low)).toBeLessThanOrEqual(binOf(high));
      }),
      SEED,
    );
  });

  it('stand for a value within one percent of every value they hold', () => {
    fc.assert(
      fc.property(finite, (value) => {
        const error = Math.abs(valueOfBin(binOf(value)) - value);
        if (Math.abs(value) < SKETCH_SMALLEST_MAGNITUDE) expect(error).toBeLessThan(SKETCH_SMALLEST_MAGNITUDE);
        else expect(error).toBeLessThanOrEqual(SKETCH_RELATIVE_ACCURACY * Math.abs(value) * (1 + 1e-9));
      }),
      { ...SEED, numRuns: 2000 },
    );
  });

  it('refuse values that are not finite', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(() => binOf(value)).toThrow(RangeError);
    }
  });
});

describe('merging sketches', () => {
  const sketch = fc.array(finite, { maxLength: 30 }).map(sketchOf);

  it('is commutative and associative, and the empty sketch changes nothing', () => {
    fc.assert(
      fc.property(sketch, sketch, sketch, (a, b, c) => {
        expect(mergeSketches(a, b)).toEqual(mergeSketches(b, a));
        expect(mergeSketches(mergeSketches(a, b), c)).toEqual(mergeSketches(a, mergeSketches(b, c)));
        expect(mergeSketches(a, [])).toEqual(a);
      }),
      SEED,
    );
  });

  it('gives the same rows for any order and any split of the values', () => {
    fc.assert(
      fc.property(fc.array(finite, { maxLength: 50 }), fc.nat(), (values, cut) => {
        const at = cut % (values.length + 1);
        const whole = sketchOf(values);
        expect(mergeSketches(sketchOf(values.slice(at)), sketchOf(values.slice(0, at)))).toEqual(whole);
        expect(sketchOf([...values].reverse())).toEqual(whole);
      }),
      SEED,
    );
  });
});

describe('the quantile of a sketch', () => {
  it('is within one percent of the value of its rank', () => {
    fc.assert(
      fc.property(
        fc.array(finite, { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, q) => {
          const sorted = [...values].sort((a, b) => a - b);
          const exact = sorted[Math.floor(q * (values.length - 1))]!;
          const result = quantile(sketchOf(values), q);
          expect(result.status).toBe('computed');
          if (result.status !== 'computed') return;
          const allowed = Math.max(SKETCH_RELATIVE_ACCURACY * Math.abs(exact) * (1 + 1e-9), SKETCH_SMALLEST_MAGNITUDE);
          expect(Math.abs(result.value - exact)).toBeLessThanOrEqual(allowed);
        },
      ),
      { ...SEED, numRuns: 500 },
    );
  });

  it('does not depend on the order of the rows', () => {
    const rows = sketchOf([5, 1, -3, 0, 12, 7]);
    expect(quantile([...rows].reverse(), 0.5)).toEqual(quantile(rows, 0.5));
  });

  it('is not computable for an empty sketch or outside 0..1', () => {
    expect(quantile([], 0.5)).toMatchObject({ status: 'not-computable', reason: 'no-data' });
    expect(quantile(sketchOf([1]), 1.5)).toMatchObject({ status: 'not-computable', reason: 'invalid-input' });
  });
});
