// Welch's t-test of the effect between two variants, two-sided or one-sided, on the absolute or the relative scale.
//
// Source: Welch 1947, "The generalization of Student's problem when several different population variances are involved",
// with Satterthwaite's degrees of freedom from the absolute scale, as in gbstats 0.8.0.
import type { Effect } from './effect.ts';
import { type Alternative, type Interval, intervalOf, pValueOf } from './hypothesis.ts';
import { computed, isComputed, notComputable, type Outcome } from './result.ts';
import { type Statistic, varianceOfStatistic } from './statistic.ts';

export type TestResult = Effect & {
  readonly interval: Interval;
  readonly pValue: number;
  /** Probability of a false positive that the interval was made for, in (0, 1). */
  readonly alpha: number;
  readonly alternative: Alternative;
};

export type TestOptions = {
  readonly alpha: number;
  /** Default two-sided. */
  readonly alternative?: Alternative;
  /** The effect under the null hypothesis, on the scale of the effect. Default 0. */
  readonly nullEffect?: number;
};

/** Degrees of freedom for two variances that may differ; not an integer. */
export function welchDegreesOfFreedom(
  a: { variance: number; count: number },
  b: { variance: number; count: number },
): number {
  const varianceA = a.variance / a.count;
  const varianceB = b.variance / b.count;
  return (varianceA + varianceB) ** 2 / (varianceA ** 2 / (a.count - 1) + varianceB ** 2 / (b.count - 1));
}

/** Tests an effect that was estimated from these two statistics. Passes on why the effect is not computable. */
export function welchTest(
  effect: Outcome<Effect>,
  control: Statistic,
  treatment: Statistic,
  options: TestOptions,
): Outcome<TestResult> {
  if (!isComputed(effect)) return effect;
  if (!(options.alpha > 0 && options.alpha < 1)) return notComputable('invalid-input', 'alpha lies between 0 and 1');
  const alternative = options.alternative ?? 'two-sided';
  const degreesOfFreedom = welchDegreesOfFreedom(
    { variance: varianceOfStatistic(control), count: control.count },
    { variance: varianceOfStatistic(treatment), count: treatment.count },
  );
  if (!(degreesOfFreedom > 0)) return notComputable('too-few-units', 'each variant needs two units');
  const distribution = { kind: 'student', degreesOfFreedom } as const;
  const { estimate, standardError } = effect;
  return computed({
    ...withoutStatus(effect),
    interval: intervalOf(estimate, standardError, { alpha: options.alpha, alternative, distribution }),
    pValue: pValueOf((estimate - (options.nullEffect ?? 0)) / standardError, alternative, distribution),
    alpha: options.alpha,
    alternative,
  });
}

/** The effect per unit and its interval times a number of units, such as the units of a day. The p-value stays. */
export function scaleToUnits<R extends Effect & { interval: Interval }>(result: R, units: number): R {
  return {
    ...result,
    estimate: result.estimate * units,
    standardError: result.standardError * units,
    interval: { lower: result.interval.lower * units, upper: result.interval.upper * units },
  };
}

function withoutStatus(effect: Effect): Effect {
  const { scale, estimate, standardError, unitCount } = effect;
  return { scale, estimate, standardError, unitCount };
}
