// Tests of the rule from buckets to variants: exact at full coverage, monotone in coverage, equal slices for equal shares.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { asExperimentId, asUnitId, asVariantId } from '#domain/experiment/ids.ts';
import { createExperimentBucket } from './bucket.ts';
import { assignVariant, decideVariant, planVariantRanges } from './variant-ranges.ts';

const variants = (...allocations: number[]) =>
  allocations.map((allocation, index) => ({ variantId: asVariantId(`v${index}`), allocation }));

/** One to six shares that sum to at most 10000. */
const allocationsArbitrary = fc
  .array(fc.integer({ min: 0, max: 10_000 }), { minLength: 1, maxLength: 6 })
  .map((cuts) => [...cuts].sort((one, other) => one - other))
  .map((cuts) => cuts.map((cut, index) => cut - (cuts[index - 1] ?? 0)));
const coverageArbitrary = fc.integer({ min: 0, max: 10_000 });
const bucketArbitrary = fc.integer({ min: 0, max: 9_999 });

function variantAt(allocations: number[], coverage: number, bucket: number): string | null {
  const decision = decideVariant(planVariantRanges(variants(...allocations), coverage), bucket);
  return decision.kind === 'assigned' ? decision.variantId : null;
}

test('full coverage is exactly the cumulative rule', () => {
  fc.assert(
    fc.property(allocationsArbitrary, bucketArbitrary, (allocations, bucket) => {
      const ends = allocations.map((_, index) =>
        allocations.slice(0, index + 1).reduce((sum, share) => sum + share, 0),
      );
      const index = ends.findIndex((end) => bucket < end);
      expect(variantAt(allocations, 10_000, bucket)).toBe(index === -1 ? null : `v${index}`);
    }),
  );
});

test('raising the coverage changes nobody who has a variant', () => {
  fc.assert(
    fc.property(
      allocationsArbitrary,
      coverageArbitrary,
      coverageArbitrary,
      fc.string(),
      fc.array(fc.string(), { minLength: 1 }),
      (allocations, one, other, experimentId, unitIds) => {
        const bucketOfUnit = createExperimentBucket(asExperimentId(experimentId));
        const lower = planVariantRanges(variants(...allocations), Math.min(one, other));
        const higher = planVariantRanges(variants(...allocations), Math.max(one, other));
        for (const unitId of unitIds.map(asUnitId)) {
          const before = assignVariant(bucketOfUnit, lower, unitId);
          const after = assignVariant(bucketOfUnit, higher, unitId);
          if (before.kind === 'assigned')
            expect(after).toMatchObject({ kind: 'assigned', variantId: before.variantId });
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('a full ramp over all 10,000 buckets only ever adds units', () => {
  const allocations = [3_333, 1_667, 4_999];
  let previous: (string | null)[] = new Array(10_000).fill(null);
  for (const coverage of [0, 1, 7, 100, 500, 1_000, 2_500, 3_333, 5_000, 9_999, 10_000]) {
    const current = previous.map((_, bucket) => variantAt(allocations, coverage, bucket));
    previous.forEach((variant, bucket) => {
      if (variant !== null) expect(current[bucket]).toBe(variant);
    });
    previous = current;
  }
  expect(previous.filter((variant) => variant === null)).toHaveLength(1);
});

test('equal allocations have equal slices at any coverage', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), coverageArbitrary, (count, coverage) => {
      const allocation = Math.floor(10_000 / count);
      const { ranges } = planVariantRanges(variants(...new Array<number>(count).fill(allocation)), coverage);
      const sizes = new Set(ranges.map(({ start, end }) => end - start));
      expect(sizes).toEqual(new Set([Math.floor((coverage * allocation) / 10_000)]));
    }),
  );
});

test('a unit left out is told whether a higher coverage would enroll it', () => {
  const ranges = planVariantRanges(variants(4_000, 4_000), 2_500);
  expect(decideVariant(ranges, 999)).toMatchObject({ kind: 'assigned', variantId: 'v0' });
  expect(decideVariant(ranges, 1_000)).toEqual({ kind: 'not-enrolled', reason: 'outside-coverage', bucket: 1_000 });
  expect(decideVariant(ranges, 4_000)).toMatchObject({ kind: 'assigned', variantId: 'v1' });
  expect(decideVariant(ranges, 8_000)).toEqual({ kind: 'not-enrolled', reason: 'unallocated', bucket: 8_000 });
});

test('the probability is the share among enrolled units, and the enrolment share stands beside it', () => {
  const ranges = planVariantRanges(variants(6_000, 2_000), 5_000);
  expect(decideVariant(ranges, 0)).toMatchObject({ probability: 0.75, enrolmentShare: 0.4 });
  expect(decideVariant(ranges, 6_000)).toMatchObject({ probability: 0.25, enrolmentShare: 0.4 });
});

test('shares that are no basis points, or too many of them, are refused', () => {
  expect(() => planVariantRanges(variants(5_000, 5_001), 10_000)).toThrow('sum to 10001');
  expect(() => planVariantRanges(variants(0.5), 10_000)).toThrow('allocation must be an integer');
  expect(() => planVariantRanges(variants(5_000), 10_001)).toThrow('coverage must be an integer');
  expect(() => planVariantRanges(variants(-1), 10_000)).toThrow('allocation must be an integer');
});
