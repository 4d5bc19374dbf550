// P-values and intervals of an estimate that is normal or Student t around the truth: what all fixed-horizon tests share.
import { normalQuantile, normalSurvival, studentQuantile, studentSurvival } from './special-functions.ts';

/** What the test looks for: any difference, or only an effect above, or below, the null value. */
export type Alternative = 'two-sided' | 'larger' | 'smaller';

export type ReferenceDistribution =
  | { readonly kind: 'normal' }
  | { readonly kind: 'student'; readonly degreesOfFreedom: number };

export const NORMAL: ReferenceDistribution = { kind: 'normal' };

/** A closed interval; one-sided intervals are open at an infinite end. */
export type Interval = { readonly lower: number; readonly upper: number };

function survival(statistic: number, distribution: ReferenceDistribution): number {
  return distribution.kind === 'normal'
    ? normalSurvival(statistic)
    : studentSurvival(statistic, distribution.degreesOfFreedom);
}

/** Probability, when there is no effect, of a standardized statistic at least this far in the alternative's direction. */
export function pValueOf(statistic: number, alternative: Alternative, distribution: ReferenceDistribution): number {
  if (alternative === 'larger') return survival(statistic, distribution);
  if (alternative === 'smaller') return survival(-statistic, distribution);
  return Math.min(1, 2 * survival(Math.abs(statistic), distribution));
}

/** The standardized value that is exceeded with probability `tail`. */
export function criticalValue(tail: number, distribution: ReferenceDistribution): number {
  return distribution.kind === 'normal' ? -normalQuantile(tail) : -studentQuantile(tail, distribution.degreesOfFreedom);
}

/** The interval of confidence 1 - alpha that agrees with {@link pValueOf}: one-sided alternatives bound one side. */
export function intervalOf(
  estimate: number,
  standardError: number,
  options: { alpha: number; alternative: Alternative; distribution: ReferenceDistribution },
): Interval {
  const twoSided = options.alternative === 'two-sided';
  const halfWidth = criticalValue(twoSided ? options.alpha / 2 : options.alpha, options.distribution) * standardError;
  return {
    lower: options.alternative === 'smaller' ? Number.NEGATIVE_INFINITY : estimate - halfWidth,
    upper: options.alternative === 'larger' ? Number.POSITIVE_INFINITY : estimate + halfWidth,
  };
}
