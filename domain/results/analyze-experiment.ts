// Turns what was read of an experiment into its results: comparisons, corrections, guardrails, sample ratio, decisions; pure.
import type { Experiment } from '#domain/experiment/experiment.ts';
import { type DecisionInput, decide, type MetricResult } from '#domain/statistics/decision.ts';
import { computed, isComputed, notComputable, type Outcome } from '#domain/statistics/result.ts';
import { correctTests } from '#domain/statistics/segments.ts';
import type { AnalysisSettings } from './analysis-settings.ts';
import type { GuardrailEvidence } from './compare-variants.ts';
import { type LoadedMetric, type PlannedMetric, planMetrics } from './loaded-metric.ts';
import { compareMetric, type Variants } from './metric-report.ts';
import type {
  ExperimentResults,
  MetricReport,
  TreatmentComparison,
  TreatmentDecision,
  UnitsReport,
} from './results.ts';
import { type ArrivalCount, reportSampleRatio } from './sample-ratio-report.ts';
import type { Timeline } from './timeline.ts';
import type { Cell } from './unit-statistics.ts';

/** Everything that was read for one analysis, all of it from one state of the database. */
export type LoadedExperiment = {
  readonly experiment: Experiment;
  readonly timeline: Timeline;
  readonly settings: AnalysisSettings;
  readonly asOfMs: number;
  /** Analyzed units by variant and period. */
  readonly units: readonly (Cell & { readonly units: number })[];
  readonly exposedArrivals: readonly ArrivalCount[];
  readonly assignedArrivals: readonly ArrivalCount[];
  readonly exclusions: Pick<
    UnitsReport,
    'excluded' | 'excludedByReason' | 'contradictingEvents' | 'assignedWithoutExposure'
  >;
  readonly metrics: readonly LoadedMetric[];
};

/** The variant that others are compared with: the one marked as control, else the first. */
export function splitVariants({ variants }: Pick<Experiment, 'variants'>): Variants {
  const control = variants.find(({ isControl }) => isControl) ?? variants[0]!;
  return { control, treatments: variants.filter(({ variantId }) => variantId !== control.variantId) };
}

export function analyzeExperiment(loaded: LoadedExperiment): ExperimentResults {
  const { experiment, timeline, settings } = loaded;
  const variants = splitVariants(experiment);
  const byVariant = experiment.variants.map(({ variantId, name }) => ({
    variantId: variantId as string,
    name,
    isControl: variantId === variants.control.variantId,
    units: sumOf(loaded.units.filter((cell) => cell.variantId === variantId)),
  }));
  const analyzed = sumOf(loaded.units);
  const reports = loaded.metrics.map((metric) =>
    compareMetric(metric, variants, {
      settings,
      guardrailCount: countGuardrails(loaded.metrics),
      unitsByVariant: byVariant,
    }),
  );
  const metrics = correctSecondaries(reports, settings);
  const sampleRatio = {
    exposed: reportSampleRatio(loaded.exposedArrivals, timeline),
    assigned: reportSampleRatio(loaded.assignedArrivals, timeline),
  };
  const deviation = timeline.deviations.findLast(({ startMs }) => startMs <= loaded.asOfMs);
  const decisions = variants.treatments.map(({ variantId, name }) =>
    decideTreatment({ variantId, name, metrics, settings, analyzed, sampleRatio: sampleRatio.exposed.anytime }),
  );
  return {
    experiment: pickExperiment(experiment),
    control: { variantId: variants.control.variantId, name: variants.control.name },
    asOf: new Date(loaded.asOfMs).toISOString(),
    settings,
    periods: timeline.periods.map(({ startMs, endMs, coverage, serving }, period) => ({
      startsAt: toTime(startMs),
      endsAt: toTime(endMs),
      coverage: coverage / 10_000,
      serving,
      units: sumOf(loaded.units.filter((cell) => cell.period === period)),
    })),
    analysisEndedAt: deviation?.endMs === null ? toTime(deviation.startMs) : null,
    units: { analyzed, byVariant, ...loaded.exclusions },
    sampleRatio,
    metrics,
    decisions,
    notes: notesOf(loaded, variants),
  };
}

const toTime = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
const sumOf = (cells: readonly { readonly units: number }[]): number =>
  cells.reduce((sum, { units }) => sum + units, 0);

function pickExperiment(experiment: Experiment): ExperimentResults['experiment'] {
  const { experimentId, experimentKey, name, iteration, version, status, serving, unitType, hypothesis } = experiment;
  return { experimentId, experimentKey, name, iteration, version, status, serving, unitType, hypothesis };
}

function countGuardrails(metrics: readonly PlannedMetric[]): number {
  return metrics.filter(({ guardrail }) => guardrail !== null).length;
}

/** Secondary metrics of all treatments are corrected together. */
function correctSecondaries(reports: readonly MetricReport[], settings: AnalysisSettings): MetricReport[] {
  const isCorrected = ({ roles }: MetricReport): boolean => roles.includes('secondary');
  const tested = reports.filter(isCorrected).flatMap(({ comparisons }) => comparisons);
  const corrected = correctTests(
    tested.map(({ effect }) => effect),
    { alpha: settings.alpha, correction: settings.correction },
  );
  const correctionOf = new Map(
    tested.map((comparison, index) => {
      const result = corrected[index]!;
      return [
        comparison,
        isComputed(result) ? { adjustedPValue: result.adjustedPValue, significant: result.significant } : null,
      ] as const;
    }),
  );
  return reports.map((report) => ({
    ...report,
    comparisons: report.comparisons.map((comparison) => ({
      ...comparison,
      corrected: correctionOf.get(comparison) ?? null,
    })),
  }));
}

function decideTreatment(input: {
  variantId: string;
  name: string;
  metrics: readonly MetricReport[];
  settings: AnalysisSettings;
  analyzed: number;
  sampleRatio: DecisionInput['sampleRatio'];
}): TreatmentDecision {
  const { variantId, name, settings, analyzed } = input;
  const ofTreatment = input.metrics.map((report) => ({
    report,
    comparison: report.comparisons.find((comparison) => comparison.variantId === variantId)!,
  }));
  const primary = ofTreatment.find(({ report }) => report.roles.includes('primary'));
  const plannedUnits = settings.plannedUnits ?? plannedFromPower(primary?.comparison, analyzed);
  const decision = decide({
    metrics: ofTreatment.flatMap(({ report, comparison }) => toMetricResults(report, comparison)),
    sampleRatio: input.sampleRatio,
    sampleRatioAlpha: settings.sampleRatioAlpha,
    units: analyzed,
    plannedUnits,
    alwaysValid: settings.test === 'sequential',
  });
  return { variantId, name, plannedUnits, ...decision };
}

/** The units that the smallest effect worth finding needs, at the spread seen so far. */
function plannedFromPower(primary: TreatmentComparison | undefined, analyzed: number): number | null {
  const power = primary?.power;
  if (power === undefined || power === null || !isComputed(power)) return null;
  return Math.ceil(analyzed * (1 + power.scalingFactor));
}

function toMetricResults(report: MetricReport, comparison: TreatmentComparison): MetricResult[] {
  const results: MetricResult[] = [];
  if (report.roles.includes('primary')) {
    results.push({ metric: report.name, role: 'goal', better: report.definition.better, effect: comparison.effect });
  }
  if (comparison.guardrail !== null) {
    const { harmful, bound, evidence } = comparison.guardrail;
    results.push({
      metric: report.name,
      role: 'guardrail',
      better: harmful === 'increase' ? 'decrease' : 'increase',
      // A bound of nothing can be broken, and never be shown to hold.
      ...(bound > 0 ? { bound } : {}),
      effect: toInterval(evidence),
    });
  }
  return results;
}

function toInterval(evidence: Outcome<GuardrailEvidence>): MetricResult['effect'] {
  if (!isComputed(evidence)) return notComputable(evidence.reason, evidence.detail);
  return computed({ estimate: evidence.estimate, interval: evidence.interval, scale: evidence.scale });
}

function notesOf({ experiment, timeline }: LoadedExperiment, { control }: Variants): string[] {
  const notes: string[] = [];
  if (!control.isControl)
    notes.push(`No variant is marked as the control: ${control.name}, the first one, serves as it.`);
  if (timeline.deviations.length > 0) {
    notes.push(
      'Delivery deviated from the assignments: units are analyzed until then, and those first exposed meanwhile not at all.',
    );
  }
  if (planMetrics(experiment, new Map()).length === 0) {
    notes.push('The definition names no metric: only units and their split are reported.');
  }
  return notes;
}
