// The report of one metric: its value in every variant, and every treatment against the control, overall, over time, by segment.
import type { Variant } from '#domain/experiment/experiment.ts';
import { mergeStatistics } from '#domain/statistics/effect.ts';
import type { StatisticPair } from '#domain/statistics/post-stratification.ts';
import { isComputed, type NotComputable, notComputable, type Outcome } from '#domain/statistics/result.ts';
import { meanSample, type Sample } from '#domain/statistics/sample.ts';
import { correctTests, testHeterogeneity } from '#domain/statistics/segments.ts';
import type { Statistic } from '#domain/statistics/statistic.ts';
import type { AnalysisSettings } from './analysis-settings.ts';
import {
  compareVariants,
  estimateForGuardrail,
  type GuardrailEvidence,
  type TestedEffect,
  testGuardrail,
  valueOfMetric,
} from './compare-variants.ts';
import type { LoadedMetric, StatisticCell } from './loaded-metric.ts';
import type { HistoryPoint, MetricReport, SegmentReport, TreatmentComparison, VariantUnits } from './results.ts';

export type Variants = { readonly control: Variant; readonly treatments: readonly Variant[] };

type Context = {
  readonly settings: AnalysisSettings;
  readonly guardrailCount: number;
  readonly unitsByVariant: readonly VariantUnits[];
};

/** Compares every treatment with the control. Corrections over several metrics are the caller's. */
export function compareMetric(metric: LoadedMetric, variants: Variants, context: Context): MetricReport {
  const { definition, cells, failure } = metric;
  return {
    name: definition.name,
    kind: definition.kind,
    definition,
    roles: metric.roles,
    values: [variants.control, ...variants.treatments].map(({ variantId, name }) => ({
      variantId,
      name,
      value:
        failure ??
        valueOfMetric(cells.filter((cell) => cell.variantId === variantId).map(({ statistic }) => statistic)),
    })),
    comparisons: variants.treatments.map((treatment) => compareTreatment(metric, variants, treatment, context)),
    notes: metric.notes,
  };
}

function compareTreatment(
  metric: LoadedMetric,
  variants: Variants,
  treatment: Variant,
  context: Context,
): TreatmentComparison {
  const { definition, failure } = metric;
  const { settings } = context;
  const alpha = settings.alpha / variants.treatments.length;
  const arms = { controlId: variants.control.variantId as string, treatmentId: treatment.variantId as string };
  const compare = (cells: readonly StatisticCell[]) =>
    failure === null
      ? compareVariants(definition, pairStrata(cells, arms), settings, alpha)
      : { effect: failure, bayesian: failure, power: null, varianceReduction: null };
  return {
    variantId: treatment.variantId,
    name: treatment.name,
    ...compare(metric.cells),
    corrected: null,
    guardrail:
      metric.guardrail === null
        ? null
        : { ...metric.guardrail, evidence: judgeGuardrail(metric, arms, context, variants.treatments.length) },
    history: failure === null ? traceHistory(metric.byDay, arms, (cells) => compare(cells).effect) : [],
    segments: metric.bySegment.map(({ attribute, cells }) =>
      compareSegments(attribute, cells, settings, arms, (ofSegment) => compare(ofSegment).effect),
    ),
  };
}

type Arms = { readonly controlId: string; readonly treatmentId: string };

/** Control and treatment of every period; a variant without units there has the empty statistic. */
export function pairStrata(cells: readonly StatisticCell[], { controlId, treatmentId }: Arms): StatisticPair[] {
  const periods = Map.groupBy(cells, ({ period }) => period);
  return [...periods]
    .sort(([a], [b]) => a - b)
    .flatMap(([, ofPeriod]) => {
      const of = (variantId: string): Statistic | null => {
        const found = ofPeriod.filter((cell) => cell.variantId === variantId).map(({ statistic }) => statistic);
        return found.length > 1 ? mergeStatistics(found) : (found[0] ?? null);
      };
      const [control, treatment] = [of(controlId), of(treatmentId)];
      if (control === null && treatment === null) return [];
      const pair = [control ?? emptyLike(treatment!), treatment ?? emptyLike(control!)] as const;
      return [pair];
    });
}

/** The statistic of no units, of the same kind. */
function emptyLike(statistic: Statistic): Statistic {
  const none = meanSample({ count: 0, mean: 0, m2: 0 });
  const like = (sample: Sample): Sample => ({ ...none, family: sample.family });
  const parts = { numerator: none, denominator: none, coMoment: 0 };
  switch (statistic.kind) {
    case 'sample':
      return { kind: 'sample', count: 0, sample: like(statistic.sample) };
    case 'ratio':
      return { kind: 'ratio', count: 0, ...parts };
    case 'cuped':
      return { ...statistic, count: 0, post: like(statistic.post), pre: like(statistic.pre), coMoment: 0 };
    case 'cuped-ratio': {
      const cross = {
        numeratorNumerator: 0,
        numeratorDenominator: 0,
        denominatorNumerator: 0,
        denominatorDenominator: 0,
      };
      return { ...statistic, count: 0, post: parts, pre: parts, cross };
    }
    case 'quantile':
      return { kind: 'quantile', count: 0, boundsCount: 0, level: statistic.level, estimate: 0, lower: 0, upper: 0 };
  }
}

function judgeGuardrail(
  { definition, cells, guardrail, failure }: LoadedMetric,
  arms: Arms,
  { settings, guardrailCount, unitsByVariant }: Context,
  treatmentCount: number,
): Outcome<GuardrailEvidence> {
  if (failure !== null || guardrail === null) return failure ?? notComputable('no-data', 'not a guardrail');
  const few = findTooFewUnits(arms, settings, unitsByVariant);
  if (few !== null) return few;
  return testGuardrail(estimateForGuardrail(definition, pairStrata(cells, arms)), {
    ...guardrail,
    alpha: settings.guardrailAlpha / (guardrailCount * treatmentCount),
    tuningUnits: settings.tuningUnits,
  });
}

function findTooFewUnits(
  arms: Arms,
  { guardrailUnits }: AnalysisSettings,
  unitsByVariant: readonly VariantUnits[],
): NotComputable | null {
  const short = unitsByVariant.find(
    ({ variantId, units }) =>
      (variantId === arms.controlId || variantId === arms.treatmentId) && units < guardrailUnits,
  );
  if (short === undefined) return null;
  return notComputable(
    'too-few-units',
    `${short.name} has ${short.units} units, and a guardrail is judged from ${guardrailUnits} on`,
  );
}

/** The effect of all units exposed until the end of each day: days are disjoint, so their statistics add up. */
function traceHistory(
  cells: readonly StatisticCell[],
  arms: Arms,
  effectOf: (cells: readonly StatisticCell[]) => Outcome<TestedEffect>,
): HistoryPoint[] {
  const days = [...Map.groupBy(cells, ({ stratum }) => stratum)].sort(([a], [b]) => (a < b ? -1 : 1));
  const soFar = new Map<string, StatisticCell>();
  return days.map(([day, ofDay]) => {
    for (const cell of ofDay) {
      if (cell.variantId !== arms.controlId && cell.variantId !== arms.treatmentId) continue;
      const key = `${cell.variantId}/${cell.period}`;
      const before = soFar.get(key);
      soFar.set(
        key,
        before === undefined ? cell : { ...cell, statistic: mergeStatistics([before.statistic, cell.statistic]) },
      );
    }
    const cumulated = [...soFar.values()];
    const units = cumulated.reduce((sum, { statistic }) => sum + statistic.count, 0);
    return { day, units, effect: effectOf(cumulated) };
  });
}

function compareSegments(
  attribute: string,
  cells: readonly StatisticCell[],
  settings: AnalysisSettings,
  arms: Arms,
  effectOf: (cells: readonly StatisticCell[]) => Outcome<TestedEffect>,
): SegmentReport {
  const segments = [...Map.groupBy(cells, ({ stratum }) => stratum)].sort(([a], [b]) => (a < b ? -1 : 1));
  const effects = segments.map(([, ofSegment]) => effectOf(ofSegment));
  const corrected = correctTests(effects, { alpha: settings.alpha, correction: settings.correction });
  const unitsOf = (ofSegment: readonly StatisticCell[]): number =>
    ofSegment
      .filter(({ variantId }) => variantId === arms.controlId || variantId === arms.treatmentId)
      .reduce((sum, { statistic }) => sum + statistic.count, 0);
  return {
    attribute,
    segments: segments.map(([segment, ofSegment], index) => ({
      segment,
      units: unitsOf(ofSegment),
      result: corrected[index]!,
    })),
    heterogeneity: testHeterogeneity(effects.filter(isComputed).map((effect) => ({ ...effect, unitCount: 0 }))),
  };
}
