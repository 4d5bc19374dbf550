// The definition of an experiment as every service, client and command sees it.

import type { Holdout, LayerRange } from '#domain/assignment/eligible-space.ts';
import type { Condition, JsonObject } from '#domain/targeting/condition.ts';
import type { ExperimentId, ExperimentKey, UnitType, VariantId } from './ids.ts';

export const experimentStatuses = ['draft', 'running', 'paused', 'completed', 'archived'] as const;
export type ExperimentStatus = (typeof experimentStatuses)[number];

/** What is delivered now; the stored assignments stay as they are. */
export type Serving =
  | { readonly mode: 'as_assigned' }
  | { readonly mode: 'all_to'; readonly variantId: VariantId }
  | { readonly mode: 'off' };

/** Delivered to callers verbatim, so its keys are those of the wire: `policy_version_id`, `params`. */
export type VariantConfig = JsonObject;

export type Variant = {
  readonly variantId: VariantId;
  readonly name: string;
  /** Basis points of the units of the experiment. */
  readonly allocation: number;
  readonly isControl: boolean;
  readonly config: VariantConfig;
};

/** Everything that decides what one unit gets; clients are sent this much. */
export type ServedExperiment = {
  readonly experimentId: ExperimentId;
  readonly experimentKey: ExperimentKey;
  readonly iteration: number;
  /** Audited edit under the same randomization. */
  readonly version: number;
  readonly status: ExperimentStatus;
  readonly serving: Serving;
  readonly unitType: UnitType;
  /** Basis points of each variant's full range that are enrolled. */
  readonly coverage: number;
  /** In declared order, which the hash ranges follow. */
  readonly variants: readonly Variant[];
  readonly targeting: Condition | null;
  readonly layer: LayerRange | null;
  readonly holdout: Holdout | null;
  /** Test units by id: what they get whatever the hash says; excluded from results. */
  readonly forcedVariants: { readonly [unitId: string]: VariantId };
  /** Enrolment is open in [startsAt, endsAt); ISO times with a zone. */
  readonly startsAt: string | null;
  readonly endsAt: string | null;
  /** True when only the service may assign, because stored rows differ from the hash. */
  readonly storeRequired: boolean;
};

export type Guardrail = {
  readonly metric: string;
  /** The direction that is harmful; that of the metric's definition when absent. */
  readonly direction?: 'increase' | 'decrease';
  /** The largest harm that is accepted, on the scale of the metric; that of its definition when absent. */
  readonly bound?: number;
};

export type ExperimentMetrics = {
  readonly primary?: string;
  readonly secondary?: readonly string[];
  readonly guardrails?: readonly Guardrail[];
};

/** How results are computed and decided; what is absent has the default of domain/results/analysis-settings.ts. */
export type ExperimentAnalysis = {
  readonly test?: 'sequential' | 'fixed';
  readonly alpha?: number;
  readonly tuning_units?: number;
  readonly planned_units?: number;
  readonly power?: number;
  readonly correction?: string;
  readonly covariate_days?: number;
  readonly sample_ratio_alpha?: number;
  readonly guardrail_alpha?: number;
  readonly guardrail_units?: number;
  readonly segments?: readonly string[];
  readonly prior?: { readonly mean: number; readonly deviation: number };
};

export type Experiment = ServedExperiment & {
  readonly name: string;
  /** `implicit`: the first event that names the experiment is the exposure. */
  readonly exposure: 'explicit' | 'implicit';
  readonly hypothesis: string | null;
  readonly owner: string | null;
  readonly metrics: ExperimentMetrics;
  readonly analysis: ExperimentAnalysis;
  /** Plan of coverage steps; carried out by the ramp worker, never by evaluation. */
  readonly ramp: JsonObject | null;
};

/**
 * Whether the experiment is answered to a caller that names none: while it enrolls, and as long as it delivers afterwards. Pausing
 * and completing must not take from units what they get.
 */
export function isAnsweredUnasked({ status, serving }: Pick<ServedExperiment, 'status' | 'serving'>): boolean {
  return status === 'running' || status === 'paused' || (status === 'completed' && serving.mode !== 'off');
}

/** The policy version that a variant's config points at, or null when it names none. */
export function policyVersionIdIn(config: VariantConfig): string | null {
  const { policy_version_id: id } = config;
  return typeof id === 'string' ? id : null;
}
