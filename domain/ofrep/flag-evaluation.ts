// What an experiment's answer is in the words of OFREP 0.3.0: a flag with the variant's whole config as its value.
import type { EvaluationReason } from '#domain/experiment/evaluate.ts';

/** The reasons that OFREP knows; OpenFeature's DEFAULT is not among them. */
export type FlagReason = 'STATIC' | 'TARGETING_MATCH' | 'SPLIT' | 'DISABLED' | 'UNKNOWN';

export type FlagMetadata = { readonly [name: string]: string | number | boolean };

/** A successful evaluation. Without a value the client uses the default in its code: the unit gets no variant. */
export type FlagEvaluation = {
  readonly key: string;
  readonly reason: FlagReason;
  readonly variant?: string;
  readonly value?: object;
  readonly metadata: FlagMetadata;
};

export type FlagErrorCode = 'PARSE_ERROR' | 'TARGETING_KEY_MISSING' | 'INVALID_CONTEXT' | 'FLAG_NOT_FOUND' | 'GENERAL';

/**
 * OFREP's reason for each of ours. The hash decides also who is left out by coverage, layer or holdout, so that is a SPLIT without
 * a variant; ours is in the metadata beside it.
 */
const flagReasons: Readonly<Record<EvaluationReason, FlagReason>> = {
  assigned: 'SPLIT',
  stored: 'SPLIT',
  'outside-coverage': 'SPLIT',
  unallocated: 'SPLIT',
  'outside-layer': 'SPLIT',
  'held-out': 'SPLIT',
  'in-layer-mate': 'SPLIT',
  forced: 'TARGETING_MATCH',
  'all-to': 'STATIC',
  off: 'DISABLED',
  draft: 'DISABLED',
  paused: 'DISABLED',
  completed: 'DISABLED',
  archived: 'DISABLED',
  'not-started': 'DISABLED',
  ended: 'DISABLED',
  'not-targeted': 'UNKNOWN',
  'unit-type-mismatch': 'UNKNOWN',
  'unknown-variant': 'UNKNOWN',
};

/** Reasons for which a list of all flags leaves a flag out: the experiment is nothing that clients should know of. */
const hiddenReasons: ReadonlySet<string> = new Set<EvaluationReason>(['draft', 'not-started', 'archived']);

/** OFREP's word for a reason of ours; UNKNOWN for one that this release does not know. */
export function toFlagReason(reason: string): FlagReason {
  return flagReasons[reason as EvaluationReason] ?? 'UNKNOWN';
}

export type FlagDecision = {
  readonly experimentKey: string;
  readonly experimentId: string;
  readonly experimentVersion: number;
  /** As the assignment API answers it. */
  readonly reason: string;
  /** What is delivered; null means the default in the client's code. */
  readonly served: { readonly variantId: string; readonly variantName: string; readonly config: object } | null;
  /** What is analyzed; differs from what is delivered while another variant is served to all. */
  readonly assignedVariantId: string | null;
  /** Whether the assignment is a stored row; null when no variant is delivered. */
  readonly isStored: boolean | null;
};

export function toFlagEvaluation(decision: FlagDecision): FlagEvaluation {
  const { served, assignedVariantId } = decision;
  return {
    key: decision.experimentKey,
    reason: toFlagReason(decision.reason),
    ...(served === null ? {} : { variant: served.variantName, value: served.config }),
    metadata: {
      experiment_id: decision.experimentId,
      experiment_version: decision.experimentVersion,
      reason: decision.reason,
      ...(decision.isStored === null ? {} : { stored: decision.isStored }),
      ...(served === null ? {} : { variant_id: served.variantId }),
      ...(assignedVariantId === null ? {} : { assigned_variant_id: assignedVariantId }),
    },
  };
}

/** True for flags that a bulk evaluation names. */
export function isListedFlag({ reason, served }: FlagDecision): boolean {
  return served !== null || !hiddenReasons.has(reason);
}
