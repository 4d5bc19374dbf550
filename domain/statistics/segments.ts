// Effects by segment, corrected for looking at several segments, and whether they differ from each other at all.
//
// Source of the heterogeneity test: Cochran 1954, "The combination of estimates from different experiments" (Q statistic).
import { adjustForCovariate, type Effect, type EffectScale, estimateEffect } from './effect.ts';
import { type Adjustment, adjustPValues } from './multiple-testing.ts';
import { computed, isComputed, notComputable, type Outcome } from './result.ts';
import { chiSquareSurvival } from './special-functions.ts';
import type { Statistic } from './statistic.ts';
import { type TestResult, welchTest } from './t-test.ts';

export type SegmentStatistics = {
  readonly segment: string;
  readonly control: Statistic;
  readonly treatment: Statistic;
};

export type SegmentEffect = {
  readonly segment: string;
  /** The interval is not adjusted; `adjustedPValue` is. */
  readonly result: Outcome<TestResult & { adjustedPValue: number; significant: boolean }>;
};

export type SegmentOptions = {
  readonly scale: EffectScale;
  readonly alpha: number;
  /** Default Holm. */
  readonly correction?: Adjustment;
};

/** The effect in every segment. Segments without an effect do not count in the correction. */
export function segmentEffects(segments: readonly SegmentStatistics[], options: SegmentOptions): SegmentEffect[] {
  const tests = segments.map((segment) => {
    const [control, treatment] = adjustForCovariate(segment.control, segment.treatment);
    const effect = estimateEffect(control, treatment, { scale: options.scale });
    return welchTest(effect, control, treatment, { alpha: options.alpha });
  });
  const adjusted = adjustPValues(
    tests.filter(isComputed).map((test) => test.pValue),
    { method: options.correction ?? 'holm', alpha: options.alpha },
  );
  let next = 0;
  return segments.map(({ segment }, i) => {
    const test = tests[i]!;
    if (!isComputed(test)) return { segment, result: test };
    const { pValue, rejected } = adjusted[next++]!;
    return { segment, result: { ...test, adjustedPValue: pValue, significant: rejected } };
  });
}

export type Heterogeneity = { readonly statistic: number; readonly degreesOfFreedom: number; readonly pValue: number };

/** Whether independent effects differ by more than their standard errors explain: a small p-value says that they do. */
export function testHeterogeneity(effects: readonly Effect[]): Outcome<Heterogeneity> {
  if (effects.length < 2) return notComputable('too-few-units', 'heterogeneity needs effects of two segments');
  if (effects.some((effect) => !(effect.standardError > 0))) {
    return notComputable('zero-variance', 'an effect has no standard error');
  }
  const weights = effects.map((effect) => 1 / effect.standardError ** 2);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const pooled = effects.reduce((sum, effect, i) => sum + weights[i]! * effect.estimate, 0) / total;
  const statistic = effects.reduce((sum, effect, i) => sum + weights[i]! * (effect.estimate - pooled) ** 2, 0);
  const degreesOfFreedom = effects.length - 1;
  return computed({ statistic, degreesOfFreedom, pValue: chiSquareSurvival(statistic, degreesOfFreedom) });
}
