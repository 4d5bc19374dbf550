// The hash bucket (0..9999) of a unit in an experiment, a layer or a holdout.
//
// bucket = murmur3_x86_32(utf8(salt + ":" + unit_id), seed 0, unsigned) mod 10000, where the salt is the experiment id,
// `layer:<id>` or `holdout:<id>`. `vectors.json` has the expected values for every language.

import type { ExperimentId, HoldoutId, LayerId, UnitId } from '#domain/experiment/ids.ts';
import { createPrefixedMurmur3 } from './murmur3.ts';

export const BUCKET_COUNT = 10_000;

/** Bucket of a unit for one salt; the salt is hashed once, when the function is made. */
export type BucketOfUnit = (unitId: UnitId) => number;

function createBucketOfUnit(salt: string): BucketOfUnit {
  const hash = createPrefixedMurmur3(`${salt}:`);
  return (unitId) => hash(unitId) % BUCKET_COUNT;
}

export function createExperimentBucket(experimentId: ExperimentId): BucketOfUnit {
  return createBucketOfUnit(experimentId);
}

export function createLayerBucket(layerId: LayerId): BucketOfUnit {
  return createBucketOfUnit(`layer:${layerId}`);
}

export function createHoldoutBucket(holdoutId: HoldoutId): BucketOfUnit {
  return createBucketOfUnit(`holdout:${holdoutId}`);
}

/** Bucket of a unit in an experiment. To ask for many units of one experiment, keep `createExperimentBucket`. */
export function bucketOf(experimentId: ExperimentId, unitId: UnitId): number {
  return createExperimentBucket(experimentId)(unitId);
}

/** Bucket by which a household goes to a split of every dataset; `dataset-split` is no experiment, layer or holdout. */
export function createDatasetSplitBucket(): (householdId: string) => number {
  const bucketOf = createBucketOfUnit('dataset-split');
  return (householdId) => bucketOf(householdId as UnitId);
}
