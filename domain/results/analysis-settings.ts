// How the results of an experiment are computed and decided, with every default filled in.
import type { ExperimentAnalysis } from '#domain/experiment/experiment.ts';
import { ADJUSTMENTS, type Adjustment } from '#domain/statistics/multiple-testing.ts';
import { DEFAULT_TUNING_UNITS } from '#domain/statistics/sequential.ts';

export type AnalysisSettings = {
  /** `sequential` holds at every look, `fixed` at one look, at the planned size. */
  readonly test: 'sequential' | 'fixed';
  /** Probability of a false success, split over the treatments. */
  readonly alpha: number;
  /** Units of both variants of a comparison at which the sequential test is sharpest. */
  readonly tuningUnits: number;
  /** Units of all variants; null: from the smallest effect that the primary metric is to find. */
  readonly plannedUnits: number | null;
  readonly power: number;
  /** Of the secondary metrics, over all treatments. */
  readonly correction: Adjustment;
  /** Days before the first exposure that the covariate is taken from; 0 switches the adjustment off. */
  readonly covariateDays: number;
  readonly sampleRatioAlpha: number;
  /** Probability of a false stop over all guardrails and treatments of the experiment, below 0.5. */
  readonly guardrailAlpha: number;
  /** Units of each variant before a guardrail is judged: its test is valid for large samples only. */
  readonly guardrailUnits: number;
  /** Attributes of the context of first exposures. */
  readonly segments: readonly string[];
  readonly prior: { readonly mean: number; readonly variance: number } | null;
};

/** Where 100 units come from: docs/statistics.md, "How many units a guardrail needs". */
export const DEFAULT_GUARDRAIL_UNITS = 100;

export function resolveAnalysis(analysis: ExperimentAnalysis): AnalysisSettings {
  const correction = ADJUSTMENTS.find((name) => name === analysis.correction);
  return {
    test: analysis.test ?? 'sequential',
    alpha: analysis.alpha ?? 0.05,
    tuningUnits: analysis.tuning_units ?? DEFAULT_TUNING_UNITS,
    plannedUnits: analysis.planned_units ?? null,
    power: analysis.power ?? 0.8,
    correction: correction ?? 'holm',
    covariateDays: analysis.covariate_days ?? 0,
    sampleRatioAlpha: analysis.sample_ratio_alpha ?? 0.001,
    guardrailAlpha: analysis.guardrail_alpha ?? 0.05,
    guardrailUnits: analysis.guardrail_units ?? DEFAULT_GUARDRAIL_UNITS,
    segments: analysis.segments ?? [],
    prior: analysis.prior === undefined ? null : { mean: analysis.prior.mean, variance: analysis.prior.deviation ** 2 },
  };
}
