// What one unit gets from one experiment: its assignment, and what is served to it now.
//
// Assignment: the stored row; else, while enrolment is open, the forced variant, or what targeting, holdout, layer and
// hash decide. Enrolment is open for a running experiment between its start and its end, whatever the serving is.
//
// Serving: drafts, archived and not yet started experiments serve test units at most. Otherwise `off` and `all_to` win
// over everything else, then forced variants, then the assignment, which pausing, completing or the end date leave
// served. `all_to` reaches the assigned units and all others that targeting and holdout admit: so a winner is delivered.

import { isHeldOut, isInLayerRange } from '#domain/assignment/eligible-space.ts';
import { assignVariant, type NotEnrolledReason } from '#domain/assignment/variant-ranges.ts';
import type { CompiledExperiment } from './compile-experiment.ts';
import type { ExperimentStatus } from './experiment.ts';
import type { UnitId, UnitType, VariantId } from './ids.ts';

/** `inherited`: from the anonymous identity of the same unit, when it logged in. */
export type AssignmentSource = 'hashed' | 'forced' | 'imported' | 'inherited';

/** The stored row of a unit in this iteration. */
export type StoredAssignment = {
  readonly variantId: VariantId;
  readonly bucket: number;
  readonly probability: number;
  readonly enrolmentShare: number;
  readonly source: AssignmentSource;
};

export type EvaluationInput = {
  readonly unitType: UnitType;
  readonly unitId: UnitId;
  /** Attributes of the unit and its context, which targeting reads; any value is safe. */
  readonly context: unknown;
  readonly stored: StoredAssignment | null;
  /** True when the unit is stored in another experiment of the same layer: then it does not enter this one. */
  readonly isInLayerMate?: boolean;
  readonly nowMs: number;
};

/** Why nobody is enrolled now. */
export type ClosedReason = Exclude<ExperimentStatus, 'running'> | 'not-started' | 'ended';

/** Why a unit that has no assignment gets none now. */
export type IneligibleReason =
  | ClosedReason
  | 'unit-type-mismatch'
  | 'not-targeted'
  | 'held-out'
  | 'outside-layer'
  | 'in-layer-mate'
  | NotEnrolledReason;

/**
 * Why the answer is what it is: `stored`, `assigned` (by hash, now) and `forced` serve the assigned variant, `all-to` and
 * `off` are the serving state; `unknown-variant` means that the stored row names no variant of this definition.
 */
export type EvaluationReason =
  | 'stored'
  | 'assigned'
  | 'forced'
  | 'all-to'
  | 'off'
  | 'unknown-variant'
  | IneligibleReason;

export type Evaluation = {
  readonly reason: EvaluationReason;
  /** What is analyzed; null when the unit is not in the experiment. */
  readonly assignment: StoredAssignment | null;
  /** True when `assignment` was decided now, so that it must be stored before it is answered. Only while enrolment is open. */
  readonly isNew: boolean;
  /** What is delivered; null means the default, such as the production policy. */
  readonly servedVariantId: VariantId | null;
};

/** Evaluates one unit. Never throws, has no effect, and gives the same answer for the same input everywhere. */
export function evaluate(experiment: CompiledExperiment, input: EvaluationInput): Evaluation {
  const { status, serving, unitType } = experiment.definition;
  if (input.unitType !== unitType) return unserved('unit-type-mismatch', notAssigned);
  const closedReason = findClosedReason(experiment, input.nowMs);
  const decision = decideAssignment(experiment, input, closedReason);
  if (status === 'archived') return unserved('archived', decision);
  const forcedVariantId = experiment.forcedVariantOf(input.unitId);
  if (closedReason === 'draft' || closedReason === 'not-started') {
    return forcedVariantId === undefined
      ? unserved(closedReason, decision)
      : served(forcedVariantId, 'forced', decision);
  }
  if (serving.mode === 'off') return unserved('off', decision);
  if (serving.mode === 'all_to') {
    const exclusion = decision.assignment === null ? findExclusion(experiment, input) : null;
    return exclusion === null ? served(serving.variantId, 'all-to', decision) : unserved(exclusion, decision);
  }
  if (forcedVariantId !== undefined) return served(forcedVariantId, 'forced', decision);
  if (decision.assignment === null) return unserved(decision.reason, decision);
  const { variantId } = decision.assignment;
  return experiment.variants.has(variantId)
    ? served(variantId, decision.reason, decision)
    : unserved('unknown-variant', decision);
}

type AssignmentDecision = Pick<Evaluation, 'reason' | 'assignment' | 'isNew'>;

const notAssigned = { assignment: null, isNew: false };

function decideAssignment(
  experiment: CompiledExperiment,
  input: EvaluationInput,
  closedReason: IneligibleReason | null,
): AssignmentDecision {
  const { stored, unitId } = input;
  if (stored !== null) return { reason: 'stored', assignment: stored, isNew: false };
  if (closedReason !== null) return { reason: closedReason, ...notAssigned };
  const variantId = experiment.forcedVariantOf(unitId);
  if (variantId !== undefined) {
    const { enrolmentShare } = experiment.ranges;
    const bucket = experiment.bucketOf(unitId);
    return {
      reason: 'forced',
      assignment: { variantId, bucket, probability: 1, enrolmentShare, source: 'forced' },
      isNew: true,
    };
  }
  const exclusion = findExclusion(experiment, input) ?? findLayerExclusion(experiment, input);
  if (exclusion !== null) return { reason: exclusion, ...notAssigned };
  const decision = assignVariant(experiment.bucketOf, experiment.ranges, unitId);
  if (decision.kind === 'not-enrolled') return { reason: decision.reason, ...notAssigned };
  const { bucket, probability, enrolmentShare } = decision;
  return {
    reason: 'assigned',
    assignment: { variantId: decision.variantId, bucket, probability, enrolmentShare, source: 'hashed' },
    isNew: true,
  };
}

/** Why enrolment is closed for everyone, or null while it is open. */
export function findClosedReason(
  { definition, startMs, endMs }: CompiledExperiment,
  nowMs: number,
): ClosedReason | null {
  if (definition.status !== 'running') return definition.status;
  if (nowMs < startMs) return 'not-started';
  return nowMs >= endMs ? 'ended' : null;
}

function findExclusion(
  { isTargeted, holdoutBucketOf, definition }: CompiledExperiment,
  { context, unitId }: EvaluationInput,
): 'not-targeted' | 'held-out' | null {
  if (isTargeted !== null && !isTargeted(context)) return 'not-targeted';
  const { holdout } = definition;
  return holdout !== null && holdoutBucketOf !== null && isHeldOut(holdout, holdoutBucketOf(unitId))
    ? 'held-out'
    : null;
}

function findLayerExclusion(
  { layerBucketOf, definition }: CompiledExperiment,
  { unitId, isInLayerMate = false }: EvaluationInput,
): 'outside-layer' | 'in-layer-mate' | null {
  const { layer } = definition;
  if (layer === null || layerBucketOf === null) return null;
  if (!isInLayerRange(layer, layerBucketOf(unitId))) return 'outside-layer';
  return isInLayerMate ? 'in-layer-mate' : null;
}

function served(
  servedVariantId: VariantId | null,
  reason: EvaluationReason,
  { assignment, isNew }: Omit<AssignmentDecision, 'reason'>,
): Evaluation {
  return { reason, assignment, isNew, servedVariantId };
}

function unserved(reason: EvaluationReason, decision: Omit<AssignmentDecision, 'reason'>): Evaluation {
  return served(null, reason, decision);
}
