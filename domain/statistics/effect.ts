// The difference between two variants with its standard error, absolute or relative, for every shape of metric.
//
// Relative effects are (treatment - control) / |control| with the delta method (Deng et al. 2018, section 3): the variance
// of the control mean counts twice, once in the difference and once in the divisor.
import { cupedRatioTheta, cupedTheta, mergeCuped, mergeCupedRatios } from './cuped.ts';
import { bilinear } from './matrix.ts';
import { mergeRatios, ratioStatistic } from './ratio.ts';
import { computed, type NotComputable, notComputable, type Outcome } from './result.ts';
import { mergeSamples } from './sample.ts';
import { hasVariance, linearize, type Statistic, sampleStatistic } from './statistic.ts';

export type EffectScale = 'absolute' | 'relative';

export type Effect = {
  readonly scale: EffectScale;
  /** In units of the metric, or as a share of the control mean (0.05 is five percent). */
  readonly estimate: number;
  readonly standardError: number;
  /** Units of both variants. */
  readonly unitCount: number;
};

/** Below this a ratio's theta is rounding noise, and the adjustment is left out. */
const SMALLEST_RATIO_THETA = 1e-8;

/**
 * Gives both variants the common theta of their covariate, or drops the covariate where it explains nothing. Statistics
 * without a covariate, or with a theta already, come back as they are.
 */
export function adjustForCovariate(control: Statistic, treatment: Statistic): [Statistic, Statistic] {
  if (control.kind === 'cuped' && treatment.kind === 'cuped' && (control.theta === null || treatment.theta === null)) {
    const theta = cupedTheta(control, treatment);
    if (theta === 0) return [sampleStatistic(control.post), sampleStatistic(treatment.post)];
    return [
      { ...control, theta },
      { ...treatment, theta },
    ];
  }
  if (
    control.kind === 'cuped-ratio' &&
    treatment.kind === 'cuped-ratio' &&
    (control.theta === null || treatment.theta === null)
  ) {
    const theta = cupedRatioTheta(control, treatment);
    if (Math.abs(theta) < SMALLEST_RATIO_THETA) return [ratioStatistic(control.post), ratioStatistic(treatment.post)];
    return [
      { ...control, theta },
      { ...treatment, theta },
    ];
  }
  return [control, treatment];
}

/**
 * The units of several disjoint sets as one statistic.
 * @throws TypeError when the statistics are of different kinds, or quantiles, which do not add up.
 */
export function mergeStatistics(statistics: readonly Statistic[]): Statistic {
  const [first, ...rest] = statistics;
  if (first === undefined) throw new TypeError('there is nothing to merge');
  return rest.reduce((a, b) => {
    if (a.kind === 'sample' && b.kind === 'sample') return sampleStatistic(mergeSamples(a.sample, b.sample));
    if (a.kind === 'ratio' && b.kind === 'ratio') return mergeRatios(a, b);
    if (a.kind === 'cuped' && b.kind === 'cuped') return mergeCuped(a, b);
    if (a.kind === 'cuped-ratio' && b.kind === 'cuped-ratio') return mergeCupedRatios(a, b);
    throw new TypeError(`statistics of kind ${a.kind} and ${b.kind} do not add up`);
  }, first);
}

export type EffectOptions = {
  readonly scale: EffectScale;
  /** Refuse a zero control mean on the absolute scale too, as gbstats does. Default false. */
  readonly requireBaseline?: boolean;
  /**
   * How the control mean that a relative CUPED effect divides by varies: `joint` follows the unadjusted mean and its covariance
   * with the adjusted one (gbstats), `as-adjusted` takes the adjusted variance for both (PostHog). Default joint.
   */
  readonly cupedBaseline?: 'joint' | 'as-adjusted';
};

/** The effect of treatment against control. CUPED statistics are taken with the theta they have. */
export function estimateEffect(control: Statistic, treatment: Statistic, options: EffectOptions): Outcome<Effect> {
  const a = linearize(control);
  const b = linearize(treatment);
  const refusal = refuseWithoutVariance(control, treatment) ?? refuseWithoutBaseline(a, options);
  if (refusal !== null) return refusal;
  const variance = effectVariance(control, treatment, options);
  if (!(variance > 0)) return notComputable('zero-variance', 'the variance of the effect is not positive');
  const difference = b.value - a.value;
  return computed({
    scale: options.scale,
    estimate: options.scale === 'relative' ? difference / Math.abs(a.baseline) : difference,
    standardError: Math.sqrt(variance),
    unitCount: a.count + b.count,
  });
}

/** A refusal when one of the variants has no units, one unit, or values that do not vary. */
export function refuseWithoutVariance(control: Statistic, treatment: Statistic): NotComputable | null {
  for (const [name, statistic] of [
    ['control', control],
    ['treatment', treatment],
  ] as const) {
    if (hasVariance(statistic)) continue;
    if (statistic.count === 0) return notComputable('no-data', `${name} has no units`);
    if (statistic.count === 1) return notComputable('too-few-units', `${name} has one unit`);
    return notComputable('zero-variance', `the values of ${name} do not vary enough over ${statistic.count} units`);
  }
  return null;
}

export function refuseWithoutBaseline(
  control: { value: number; baseline: number },
  options: EffectOptions,
): NotComputable | null {
  const needed = options.scale === 'relative' || options.requireBaseline === true;
  if (!needed || (control.value !== 0 && control.baseline !== 0)) return null;
  return notComputable('zero-baseline-mean', 'the mean of control is zero, so there is nothing to be relative to');
}

function effectVariance(control: Statistic, treatment: Statistic, options: EffectOptions): number {
  const a = linearize(control);
  const b = linearize(treatment);
  if (options.scale === 'absolute') {
    return (
      bilinear(a.gradient, a.covariance, a.gradient) / a.count +
      bilinear(b.gradient, b.covariance, b.gradient) / b.count
    );
  }
  const size = Math.abs(a.baseline);
  // CUPED of a mean takes the imbalance of the covariate at its expectation, zero, as gbstats does.
  const difference = control.kind === 'cuped' ? b.baseline - a.baseline : b.value - a.value;
  const pull = (difference * Math.sign(a.baseline)) / (size * size);
  const controlGradient =
    control.kind === 'cuped' && options.cupedBaseline === 'as-adjusted'
      ? a.gradient.map((slope) => (-slope * b.value) / (size * size))
      : a.gradient.map((slope, i) => -slope / size - pull * a.baselineGradient[i]!);
  const treatmentGradient = b.gradient.map((slope) => slope / size);
  return (
    bilinear(controlGradient, a.covariance, controlGradient) / a.count +
    bilinear(treatmentGradient, b.covariance, treatmentGradient) / b.count
  );
}
