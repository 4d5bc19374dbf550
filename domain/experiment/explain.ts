// Every check behind the answer for one unit, each on its own, for people who ask why.

import { isHeldOut, isInLayerRange } from '#domain/assignment/eligible-space.ts';
import { decideVariant, type VariantDecision, type VariantRange } from '#domain/assignment/variant-ranges.ts';
import type { CompiledExperiment } from './compile-experiment.ts';
import { type ClosedReason, type Evaluation, type EvaluationInput, evaluate, findClosedReason } from './evaluate.ts';
import type { VariantId } from './ids.ts';

export type Explanation = {
  readonly evaluation: Evaluation;
  /** Experiment bucket of the unit, by hash. */
  readonly bucket: number;
  readonly ranges: readonly VariantRange[];
  /** What the hash alone says at the present coverage, whatever is stored or excluded. */
  readonly byHash: VariantDecision;
  readonly unitTypeMatches: boolean;
  /** Null while enrolment is open. */
  readonly enrolmentClosed: ClosedReason | null;
  /** Null when the experiment has no condition. */
  readonly isTargeted: boolean | null;
  readonly layer: { readonly layerId: string; readonly bucket: number; readonly isInRange: boolean } | null;
  readonly holdout: { readonly holdoutId: string; readonly bucket: number; readonly isHeldOut: boolean } | null;
  readonly forcedVariantId: VariantId | null;
};

/** Explains one unit; `evaluation` is exactly what `evaluate` answers for the same input. */
export function explain(experiment: CompiledExperiment, input: EvaluationInput): Explanation {
  const { definition, ranges, layerBucketOf, holdoutBucketOf } = experiment;
  const { unitId, context, nowMs, unitType } = input;
  const bucket = experiment.bucketOf(unitId);
  const layerBucket = layerBucketOf?.(unitId) ?? 0;
  const holdoutBucket = holdoutBucketOf?.(unitId) ?? 0;
  const { layer, holdout } = definition;
  return {
    evaluation: evaluate(experiment, input),
    bucket,
    ranges: ranges.ranges,
    byHash: decideVariant(ranges, bucket),
    unitTypeMatches: unitType === definition.unitType,
    enrolmentClosed: findClosedReason(experiment, nowMs),
    isTargeted: experiment.isTargeted?.(context) ?? null,
    layer: layer && { layerId: layer.layerId, bucket: layerBucket, isInRange: isInLayerRange(layer, layerBucket) },
    holdout: holdout && {
      holdoutId: holdout.holdoutId,
      bucket: holdoutBucket,
      isHeldOut: isHeldOut(holdout, holdoutBucket),
    },
    forcedVariantId: experiment.forcedVariantOf(unitId) ?? null,
  };
}
