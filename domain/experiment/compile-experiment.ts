// Prepares a definition for evaluation: hashes prefixes, lays out ranges and compiles targeting once.

import {
  type BucketOfUnit,
  createExperimentBucket,
  createHoldoutBucket,
  createLayerBucket,
} from '#domain/assignment/bucket.ts';
import { planVariantRanges, type VariantRanges } from '#domain/assignment/variant-ranges.ts';
import { compileCondition, type Targeting } from '#domain/targeting/compile-condition.ts';
import type { SavedGroups } from '#domain/targeting/condition.ts';
import type { ServedExperiment, Variant } from './experiment.ts';
import type { UnitId, VariantId } from './ids.ts';

export type CompiledExperiment = {
  readonly definition: ServedExperiment;
  readonly variants: ReadonlyMap<VariantId, Variant>;
  readonly ranges: VariantRanges;
  readonly bucketOf: BucketOfUnit;
  readonly isTargeted: Targeting | null;
  readonly layerBucketOf: BucketOfUnit | null;
  readonly holdoutBucketOf: BucketOfUnit | null;
  /** Enrolment is open in [startMs, endMs). */
  readonly startMs: number;
  readonly endMs: number;
  readonly forcedVariantOf: (unitId: UnitId) => VariantId | undefined;
};

/**
 * Compiles a definition that passed `validateExperiment`; keep the result for as long as the definition lives.
 * @throws RangeError when shares are not valid basis points.
 */
export function compileExperiment(definition: ServedExperiment, savedGroups: SavedGroups = {}): CompiledExperiment {
  const { experimentId, variants, coverage, targeting, layer, holdout, startsAt, endsAt } = definition;
  const forced = new Map<string, VariantId>(Object.entries(definition.forcedVariants));
  return {
    definition,
    variants: new Map(variants.map((variant) => [variant.variantId, variant])),
    ranges: planVariantRanges(variants, coverage),
    bucketOf: createExperimentBucket(experimentId),
    isTargeted: targeting && compileCondition(targeting, savedGroups),
    layerBucketOf: layer && createLayerBucket(layer.layerId),
    holdoutBucketOf: holdout && createHoldoutBucket(holdout.holdoutId),
    startMs: startsAt === null ? Number.NEGATIVE_INFINITY : Date.parse(startsAt),
    endMs: endsAt === null ? Number.POSITIVE_INFINITY : Date.parse(endsAt),
    forcedVariantOf: (unitId) => forced.get(unitId),
  };
}
