// One metric of two variants: effect over all strata, test, Bayesian reading, and the units that are still missing.
import type { MetricDefinition } from '#domain/metrics/metric-definition.ts';
import { type BayesianResult, bayesianTest } from '#domain/statistics/bayesian.ts';
import { adjustForCovariate, type Effect, estimateEffect, mergeStatistics } from '#domain/statistics/effect.ts';
import type { Interval } from '#domain/statistics/hypothesis.ts';
import { additionalUnits, type MoreUnits } from '#domain/statistics/mid-experiment-power.ts';
import { type StatisticPair, stratifiedEffect } from '#domain/statistics/post-stratification.ts';
import { computed, isComputed, notComputable, type Outcome } from '#domain/statistics/result.ts';
import { proportionSample } from '#domain/statistics/sample.ts';
import { sequentialTest } from '#domain/statistics/sequential.ts';
import { linearize, type Statistic, sampleStatistic } from '#domain/statistics/statistic.ts';
import { type TestResult, welchTest } from '#domain/statistics/t-test.ts';
import type { AnalysisSettings } from './analysis-settings.ts';

export type TestedEffect = {
  readonly scale: Effect['scale'];
  readonly estimate: number;
  readonly standardError: number;
  readonly interval: Interval;
  readonly pValue: number;
  /** The level that the interval holds at. */
  readonly alpha: number;
};

export type Comparison = {
  readonly effect: Outcome<TestedEffect>;
  readonly bayesian: Outcome<BayesianResult>;
  /** Null when the metric does not say which effect is worth finding. */
  readonly power: Outcome<MoreUnits> | null;
  /** By how much the covariate narrowed the interval, 0..1; null without one. */
  readonly varianceReduction: number | null;
};

/** The effect of treatment over all strata; quantiles do not add up and come as one stratum. */
export function estimateOverStrata(strata: readonly StatisticPair[], scale: Effect['scale']): Outcome<Effect> {
  const [first] = strata;
  if (first === undefined) return notComputable('no-data', 'no unit was counted in either variant');
  if (first[0].kind !== 'quantile' || first[1].kind !== 'quantile') return stratifiedEffect(strata, { scale });
  const effect = estimateEffect(...first, { scale });
  if (!isComputed(effect)) return effect;
  // The independent draws are units, not events.
  const unitCount = (first[0].clusters?.unitCount ?? first[0].count) + (first[1].clusters?.unitCount ?? first[1].count);
  return computed({ ...effect, unitCount });
}

/**
 * The effect that a guardrail is judged by. Where all units of a variant have an outcome, or none has, the plain estimate knows no
 * variance and nothing could be said, however large the harm: then each variant counts one unit more with the outcome and one more
 * without it, over all strata together (Agresti, Caffo 2000, "Simple and effective confidence intervals for proportions").
 */
export function estimateForGuardrail(
  { kind, scale }: Pick<MetricDefinition, 'kind' | 'scale'>,
  strata: readonly StatisticPair[],
): Outcome<Effect> {
  const effect = estimateOverStrata(strata, scale);
  if (isComputed(effect) || effect.reason !== 'zero-variance' || kind !== 'proportion') return effect;
  const merge = (side: 0 | 1): Statistic => {
    const { count, baseline } = linearize(mergeStatistics(strata.map((pair) => pair[side])));
    return sampleStatistic(proportionSample({ count: count + 2, successes: Math.round(baseline * count) + 1 }));
  };
  return estimateEffect(merge(0), merge(1), { scale });
}

/** All units of a variant over its strata, with the covariate that both variants share. */
function mergeStrata(strata: readonly StatisticPair[]): [Statistic, Statistic] {
  return adjustForCovariate(
    mergeStatistics(strata.map(([control]) => control)),
    mergeStatistics(strata.map(([, treatment]) => treatment)),
  );
}

function testEffect(
  strata: readonly StatisticPair[],
  effect: Outcome<Effect>,
  settings: Pick<AnalysisSettings, 'test' | 'tuningUnits'>,
  alpha: number,
): Outcome<TestResult> {
  if (!isComputed(effect)) return effect;
  if (settings.test === 'sequential') return sequentialTest(effect, { alpha, tuningUnits: settings.tuningUnits });
  return welchTest(effect, ...mergeStrata(strata), { alpha });
}

/** `alpha` is the share of this comparison in the experiment's own. */
export function compareVariants(
  metric: MetricDefinition,
  strata: readonly StatisticPair[],
  settings: AnalysisSettings,
  alpha: number,
): Comparison {
  const effect = estimateOverStrata(strata, metric.scale);
  const test = testEffect(strata, effect, settings, alpha);
  return {
    effect: isComputed(test) ? computed(toTestedEffect(test)) : test,
    bayesian: bayesianTest(effect, { alpha, prior: settings.prior, lowerIsBetter: metric.better === 'decrease' }),
    power: metric.minimumEffect === null ? null : missingUnits(effect, metric.minimumEffect, settings, alpha),
    varianceReduction: varianceReductionOf(strata, effect, metric.scale),
  };
}

function toTestedEffect({ scale, estimate, standardError, interval, pValue, alpha }: TestResult): TestedEffect {
  return { scale, estimate, standardError, interval, pValue, alpha };
}

function missingUnits(
  effect: Outcome<Effect>,
  minimumEffect: number,
  settings: AnalysisSettings,
  alpha: number,
): Outcome<MoreUnits> {
  if (!isComputed(effect)) return effect;
  return additionalUnits({
    standardError: effect.standardError,
    unitCount: effect.unitCount,
    targetEffect: minimumEffect,
    alpha,
    targetPower: settings.power,
    sequential: settings.test === 'sequential' ? { tuningUnits: settings.tuningUnits } : null,
  });
}

function varianceReductionOf(
  strata: readonly StatisticPair[],
  effect: Outcome<Effect>,
  scale: Effect['scale'],
): number | null {
  const kind = strata[0]?.[0].kind;
  if (!isComputed(effect) || (kind !== 'cuped' && kind !== 'cuped-ratio')) return null;
  const plain = estimateOverStrata(
    strata.map(([control, treatment]) => [withoutCovariate(control), withoutCovariate(treatment)]),
    scale,
  );
  return isComputed(plain) ? Math.max(0, 1 - (effect.standardError / plain.standardError) ** 2) : null;
}

function withoutCovariate(statistic: Statistic): Statistic {
  if (statistic.kind === 'cuped') return { kind: 'sample', count: statistic.count, sample: statistic.post };
  return statistic.kind === 'cuped-ratio' ? { kind: 'ratio', count: statistic.count, ...statistic.post } : statistic;
}

/** The metric itself in one variant, without adjustment; not computable without units or without a denominator. */
export function valueOfMetric(statistics: readonly Statistic[]): Outcome<{ value: number; count: number }> {
  if (statistics.length === 0) return notComputable('no-data', 'the variant has no units');
  const merged = statistics.length === 1 ? statistics[0]! : mergeStatistics(statistics);
  if (merged.count === 0) return notComputable('no-data', 'the variant has no units with a value');
  const { baseline, count } = linearize(merged);
  const denominator =
    merged.kind === 'ratio' ? merged.denominator : merged.kind === 'cuped-ratio' ? merged.post.denominator : null;
  if (denominator !== null && denominator.mean === 0) {
    return notComputable('zero-denominator', `the denominator is 0 over all ${count} units`);
  }
  return computed({ value: baseline, count });
}

/** What the data say of a guardrail, one-sided on each side, valid at every look. */
export type GuardrailEvidence = {
  readonly scale: Effect['scale'];
  readonly estimate: number;
  /** Each end holds with probability 1 - alpha at all looks together. */
  readonly interval: Interval;
  /** Of no more harm than the bound. */
  readonly pValue: number;
  readonly alpha: number;
  readonly isBroken: boolean;
};

/** Judges one guardrail on one treatment; `bound` is the accepted harm on the effect's scale, not negative. */
export function testGuardrail(
  effect: Outcome<Effect>,
  options: {
    readonly harmful: 'increase' | 'decrease';
    readonly bound: number;
    readonly alpha: number;
    readonly tuningUnits: number;
  },
): Outcome<GuardrailEvidence> {
  if (!isComputed(effect)) return effect;
  const { harmful, bound, alpha, tuningUnits } = options;
  const nullEffect = harmful === 'increase' ? bound : -bound;
  const larger = sequentialTest(effect, { alpha, tuningUnits, nullEffect, alternative: 'larger' });
  const smaller = sequentialTest(effect, { alpha, tuningUnits, nullEffect, alternative: 'smaller' });
  if (!isComputed(larger)) return larger;
  if (!isComputed(smaller)) return smaller;
  const interval = { lower: larger.interval.lower, upper: smaller.interval.upper };
  return computed({
    scale: effect.scale,
    estimate: effect.estimate,
    interval,
    pValue: harmful === 'increase' ? larger.pValue : smaller.pValue,
    alpha,
    isBroken: harmful === 'increase' ? interval.lower > bound : interval.upper < -bound,
  });
}
