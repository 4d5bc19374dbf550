// The results of an experiment as one value: what was counted, what was left out, every metric, and what to do.
import type { Experiment } from '#domain/experiment/experiment.ts';
import type { MetricDefinition, MetricKind } from '#domain/metrics/metric-definition.ts';
import type { Decision } from '#domain/statistics/decision.ts';
import type { Outcome } from '#domain/statistics/result.ts';
import type { Corrected, Heterogeneity } from '#domain/statistics/segments.ts';
import type { AnalysisSettings } from './analysis-settings.ts';
import type { Comparison, GuardrailEvidence, TestedEffect } from './compare-variants.ts';
import type { SampleRatioReport } from './sample-ratio-report.ts';

/** Why a unit that was exposed is not analyzed. A unit can have several reasons. */
export const exclusionReasons = [
  'met-two-variants',
  'contradicts-assignment',
  'forced',
  'identity-conflict',
  'in-two-experiments-of-a-layer',
  'exposed-while-not-as-assigned',
] as const;
export type ExclusionReason = (typeof exclusionReasons)[number];

export type UnitsReport = {
  /** Units that the results are computed from. */
  readonly analyzed: number;
  readonly byVariant: readonly VariantUnits[];
  /** Distinct units left out. */
  readonly excluded: number;
  readonly excludedByReason: readonly { readonly reason: ExclusionReason; readonly units: number }[];
  /** Events that name another variant than the stored assignment; they count for nobody. */
  readonly contradictingEvents: number;
  /** Units with a stored assignment that no exposure is known of. */
  readonly assignedWithoutExposure: number;
};

export type VariantUnits = {
  readonly variantId: string;
  readonly name: string;
  readonly isControl: boolean;
  readonly units: number;
};

export type MetricRole = 'primary' | 'secondary' | 'guardrail';

export type VariantValue = {
  readonly variantId: string;
  readonly name: string;
  /** `count` is the number of units, or of values for a quantile. */
  readonly value: Outcome<{ readonly value: number; readonly count: number }>;
};

export type GuardrailReport = {
  readonly harmful: 'increase' | 'decrease';
  readonly bound: number;
  readonly evidence: Outcome<GuardrailEvidence>;
};

export type HistoryPoint = {
  /** UTC day of first exposure; the effect is that of all units exposed until its end. */
  readonly day: string;
  readonly units: number;
  readonly effect: Outcome<TestedEffect>;
};

export type SegmentReport = {
  readonly attribute: string;
  readonly segments: readonly {
    readonly segment: string;
    readonly units: number;
    readonly result: Outcome<TestedEffect & Corrected>;
  }[];
  /** Whether the effects differ between the segments. */
  readonly heterogeneity: Outcome<Heterogeneity>;
};

export type TreatmentComparison = Comparison & {
  readonly variantId: string;
  readonly name: string;
  /** Over all secondary metrics and treatments; null for other metrics, which need no correction. */
  readonly corrected: Corrected | null;
  readonly guardrail: GuardrailReport | null;
  readonly history: readonly HistoryPoint[];
  readonly segments: readonly SegmentReport[];
};

export type MetricReport = {
  readonly name: string;
  readonly kind: MetricKind;
  readonly definition: MetricDefinition;
  readonly roles: readonly MetricRole[];
  readonly values: readonly VariantValue[];
  readonly comparisons: readonly TreatmentComparison[];
  /** What a reader of this metric should know, in sentences. */
  readonly notes: readonly string[];
};

export type TreatmentDecision = Decision & {
  readonly variantId: string;
  readonly name: string;
  readonly plannedUnits: number | null;
};

export type ExperimentResults = {
  readonly experiment: Pick<
    Experiment,
    | 'experimentId'
    | 'experimentKey'
    | 'name'
    | 'iteration'
    | 'version'
    | 'status'
    | 'serving'
    | 'unitType'
    | 'hypothesis'
  >;
  readonly control: { readonly variantId: string; readonly name: string };
  /** When the rows were read. */
  readonly asOf: string;
  readonly settings: AnalysisSettings;
  readonly periods: readonly {
    readonly startsAt: string | null;
    readonly endsAt: string | null;
    readonly coverage: number;
    readonly serving: string;
    readonly units: number;
  }[];
  /** Events from here on count for no unit, because delivery deviated from the assignments; null while it does not. */
  readonly analysisEndedAt: string | null;
  readonly units: UnitsReport;
  readonly sampleRatio: { readonly exposed: SampleRatioReport; readonly assigned: SampleRatioReport };
  readonly metrics: readonly MetricReport[];
  readonly decisions: readonly TreatmentDecision[];
  readonly notes: readonly string[];
};
