// Large-sample tests of two means or two proportions straight from counts, and their pooled and unpooled standard errors.
//
// Sources: z-test with unpooled variances, as in spotify-confidence 4; chi-square test of two proportions (Pearson 1900)
// with the Wald interval of their difference (Agresti 2013, Categorical Data Analysis, section 3.1).
import {
  type Alternative,
  type Interval,
  intervalOf,
  NORMAL,
  pValueOf,
  type ReferenceDistribution,
} from './hypothesis.ts';
import { computed, notComputable, type Outcome } from './result.ts';
import { type Sample, varianceOfSample } from './sample.ts';
import { chiSquareSurvival } from './special-functions.ts';

export type DifferenceResult = {
  /** Treatment mean minus control mean, in units of the metric. */
  readonly estimate: number;
  readonly standardError: number;
  readonly interval: Interval;
  readonly pValue: number;
};

export type DifferenceOptions = {
  readonly alpha: number;
  readonly alternative?: Alternative;
  /** The difference under the null hypothesis; a non-inferiority margin goes here with its sign. Default 0. */
  readonly nullDifference?: number;
  /** Default normal. */
  readonly distribution?: ReferenceDistribution;
};

/** Standard error of the difference of two means with unequal variances. */
export function differenceStandardError(control: Sample, treatment: Sample): number {
  return Math.sqrt(varianceOfSample(control) / control.count + varianceOfSample(treatment) / treatment.count);
}

/** Tests the difference of two means or proportions; a Student distribution makes it Welch's test. */
export function testDifference(
  control: Sample,
  treatment: Sample,
  options: DifferenceOptions,
): Outcome<DifferenceResult> {
  if (control.count === 0 || treatment.count === 0) return notComputable('no-data', 'a variant has no units');
  const standardError = differenceStandardError(control, treatment);
  if (!(standardError > 0)) return notComputable('zero-variance', 'neither variant has values that vary');
  const estimate = treatment.mean - control.mean;
  const alternative = options.alternative ?? 'two-sided';
  const distribution = options.distribution ?? NORMAL;
  return computed({
    estimate,
    standardError,
    interval: intervalOf(estimate, standardError, { alpha: options.alpha, alternative, distribution }),
    pValue: pValueOf((estimate - (options.nullDifference ?? 0)) / standardError, alternative, distribution),
  });
}

/**
 * Tests two proportions by Pearson's chi-square with the variance pooled under the null hypothesis. The interval is
 * Wald's, with the variances apart, so it can disagree with the p-value at the border.
 */
export function testProportions(
  control: Sample,
  treatment: Sample,
  options: { alpha: number },
): Outcome<DifferenceResult> {
  const apart = testDifference(control, treatment, { alpha: options.alpha });
  if (apart.status === 'not-computable') return apart;
  const count = control.count + treatment.count;
  const pooled = (control.mean * control.count + treatment.mean * treatment.count) / count;
  const standardError = Math.sqrt(pooled * (1 - pooled) * (1 / control.count + 1 / treatment.count));
  return computed({
    estimate: apart.estimate,
    standardError: apart.standardError,
    interval: apart.interval,
    pValue: chiSquareSurvival((apart.estimate / standardError) ** 2, 1),
  });
}
