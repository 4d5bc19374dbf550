// Tests of layer ranges and holdouts.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { asHoldoutId, asLayerId } from '#domain/experiment/ids.ts';
import {
  findLayerRangeProblem,
  isHeldOut,
  isInLayerRange,
  type LayerRange,
  layerRangesOverlap,
} from './eligible-space.ts';

const layerId = asLayerId('checkout');
const rangeArbitrary = fc
  .tuple(fc.integer({ min: 0, max: 9_999 }), fc.integer({ min: 1, max: 10_000 }))
  .filter(([start, end]) => start < end)
  .map(([start, end]): LayerRange => ({ layerId, start, end }));

test('ranges of one layer overlap exactly when some bucket is in both', () => {
  fc.assert(
    fc.property(rangeArbitrary, rangeArbitrary, (one, other) => {
      // If any bucket is shared, the higher of the two starts is.
      const candidate = Math.max(one.start, other.start);
      expect(layerRangesOverlap(one, other)).toBe(isInLayerRange(one, candidate) && isInLayerRange(other, candidate));
    }),
  );
  expect(layerRangesOverlap({ layerId, start: 0, end: 10 }, { layerId: asLayerId('b'), start: 0, end: 10 })).toBe(
    false,
  );
});

test('a range is half-open', () => {
  const range = { layerId, start: 10, end: 20 };
  expect([9, 10, 19, 20].map((bucket) => isInLayerRange(range, bucket))).toEqual([false, true, true, false]);
});

test('what is no range within 0..10000 is named as a problem', () => {
  expect(findLayerRangeProblem({ layerId, start: 0, end: 10_000 })).toBeNull();
  for (const [start, end] of [
    [5, 5],
    [6, 5],
    [-1, 5],
    [0, 10_001],
    [0.5, 5],
  ] as const) {
    expect(findLayerRangeProblem({ layerId, start, end })).toContain('0 <= start < end <= 10000');
  }
  expect(findLayerRangeProblem({ layerId: asLayerId(''), start: 0, end: 1 })).toBe('a layer needs an id');
});

test('a holdout keeps its lowest buckets out', () => {
  const holdout = { holdoutId: asHoldoutId('h'), share: 500 };
  expect([0, 499, 500, 9_999].map((bucket) => isHeldOut(holdout, bucket))).toEqual([true, true, false, false]);
});
