// Which buckets each variant owns at a coverage, and the variant that a bucket falls in.
//
// Variants in declared order have cumulative full ranges. At coverage c, variant i owns
// [start_i, start_i + floor(c_bp * alloc_bp_i / 10000)): full coverage is exactly the cumulative rule, and raising the
// coverage only adds buckets at the end of each range, so that nobody's variant changes.

import type { UnitId, VariantId } from '#domain/experiment/ids.ts';
import { FULL_SHARE } from './basis-points.ts';
import type { BucketOfUnit } from './bucket.ts';

/** A variant's share of units in basis points, in declared order. */
export type VariantAllocation = { readonly variantId: VariantId; readonly allocation: number };

/** Buckets of one variant: `[start, end)` is enrolled now, `[end, fullEnd)` at a higher coverage. */
export type VariantRange = {
  readonly variantId: VariantId;
  readonly start: number;
  readonly end: number;
  readonly fullEnd: number;
  /** Probability of this variant given enrolment: allocation / sum of allocations. */
  readonly probability: number;
};

export type VariantRanges = {
  readonly ranges: readonly VariantRange[];
  /** Share of all units that are enrolled: coverage * sum of allocations. */
  readonly enrolmentShare: number;
};

export type VariantDecision =
  | {
      readonly kind: 'assigned';
      readonly variantId: VariantId;
      readonly bucket: number;
      readonly probability: number;
      readonly enrolmentShare: number;
    }
  | { readonly kind: 'not-enrolled'; readonly reason: NotEnrolledReason; readonly bucket: number };

/** `outside-coverage`: a higher coverage would enroll the unit. `unallocated`: no variant owns the bucket at any coverage. */
export type NotEnrolledReason = 'outside-coverage' | 'unallocated';

/**
 * Lays out the ranges of an experiment.
 * @throws RangeError when a share is not an integer in 0..10000 or the allocations sum to more than 10000.
 */
export function planVariantRanges(allocations: readonly VariantAllocation[], coverage: number): VariantRanges {
  requireBasisPoints('coverage', coverage);
  const allocated = allocations.reduce((sum, { allocation }) => sum + allocation, 0);
  if (allocated > FULL_SHARE) throw new RangeError(`allocations sum to ${allocated} basis points, more than 10000`);
  let start = 0;
  const ranges = allocations.map(({ variantId, allocation }): VariantRange => {
    requireBasisPoints('allocation', allocation);
    const range = {
      variantId,
      start,
      end: start + Math.floor((coverage * allocation) / FULL_SHARE),
      fullEnd: start + allocation,
      probability: allocated === 0 ? 0 : allocation / allocated,
    };
    start = range.fullEnd;
    return range;
  });
  return { ranges, enrolmentShare: (coverage * allocated) / (FULL_SHARE * FULL_SHARE) };
}

/** The variant that a bucket falls in. */
export function decideVariant({ ranges, enrolmentShare }: VariantRanges, bucket: number): VariantDecision {
  for (const { variantId, start, end, fullEnd, probability } of ranges) {
    if (bucket < start || bucket >= fullEnd) continue;
    if (bucket >= end) return { kind: 'not-enrolled', reason: 'outside-coverage', bucket };
    return { kind: 'assigned', variantId, bucket, probability, enrolmentShare };
  }
  return { kind: 'not-enrolled', reason: 'unallocated', bucket };
}

/** The variant of a unit by hash alone: no stored row, targeting, layer or holdout is looked at. */
export function assignVariant(bucketOfUnit: BucketOfUnit, ranges: VariantRanges, unitId: UnitId): VariantDecision {
  return decideVariant(ranges, bucketOfUnit(unitId));
}

function requireBasisPoints(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value > FULL_SHARE) {
    throw new RangeError(`${name} must be an integer of 0..10000 basis points, not ${value}`);
  }
}
