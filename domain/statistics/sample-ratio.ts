// Sample ratio mismatch: whether units arrived in the variants in the planned proportions, at one look or at any time.
//
// Sources: Pearson's chi-square goodness of fit; Lindon and Malek 2022, "Anytime-valid inference for multinomial count data"
// (NeurIPS): Bayes factor of a Dirichlet(k * theta0) against theta0, whose running maximum is valid at every look.
import { computed, notComputable, type Outcome } from './result.ts';
import { chiSquareSurvival, logMultivariateBeta } from './special-functions.ts';

/** Observed units and planned weight of one variant; weights need not sum to 1. A weight of 0 plans no units. */
export type VariantCount = { readonly observed: number; readonly weight: number };

export type SampleRatioResult = {
  readonly statistic: number;
  readonly degreesOfFreedom: number;
  readonly pValue: number;
};

/**
 * Chi-square test at one look. A variant of weight 0 adds nothing to the statistic but keeps its degree of freedom, as in
 * gbstats, which errs on the side of no alarm: leave such variants out where they are not expected.
 */
export function testSampleRatio(variants: readonly VariantCount[]): Outcome<SampleRatioResult> {
  const total = variants.reduce((sum, variant) => sum + variant.observed, 0);
  const weights = variants.reduce((sum, variant) => sum + variant.weight, 0);
  if (total === 0) return notComputable('no-data', 'no unit was counted');
  if (variants.length < 2) return notComputable('invalid-input', 'a ratio needs two variants');
  let statistic = 0;
  for (const { observed, weight } of variants) {
    if (weight <= 0) continue;
    const expected = (weight / weights) * total;
    statistic += (observed - expected) ** 2 / expected;
  }
  const degreesOfFreedom = variants.length - 1;
  return computed({ statistic, degreesOfFreedom, pValue: chiSquareSurvival(statistic, degreesOfFreedom) });
}

/**
 * Chi-square test over periods with different planned proportions (a ramp): statistics and degrees of freedom add up, so
 * a planned change of the mix is no mismatch. Periods without units are skipped.
 */
export function testSampleRatioByPeriod(periods: readonly (readonly VariantCount[])[]): Outcome<SampleRatioResult> {
  let statistic = 0;
  let degreesOfFreedom = 0;
  for (const variants of periods) {
    const planned = variants.filter((variant) => variant.weight > 0);
    if (planned.length < 2) continue;
    const one = testSampleRatio(planned);
    if (one.status === 'not-computable') continue;
    statistic += one.statistic;
    degreesOfFreedom += one.degreesOfFreedom;
  }
  if (degreesOfFreedom === 0) return notComputable('no-data', 'no period has units in two planned variants');
  return computed({ statistic, degreesOfFreedom, pValue: chiSquareSurvival(statistic, degreesOfFreedom) });
}

/** Concentration of the alternative around the plan; larger looks for smaller deviations. From the paper. */
export const DEFAULT_CONCENTRATION = 100;

/**
 * The state of the anytime-valid test. It starts with p = 1; p never rises. An alarm when p <= alpha is false with
 * probability at most alpha, over all looks together.
 */
export type SequentialSampleRatio = {
  readonly counts: readonly number[];
  readonly logBayesFactor: number;
  readonly pValue: number;
};

/** The test before any unit; `proportions` sum to 1 and are positive. */
export function startSequentialSampleRatio(proportions: readonly number[]): Outcome<SequentialSampleRatio> {
  const sum = proportions.reduce((total, share) => total + share, 0);
  if (proportions.length < 2 || proportions.some((share) => !(share > 0)) || Math.abs(sum - 1) > 1e-9) {
    return notComputable('invalid-input', 'planned proportions are positive and sum to one');
  }
  return computed({ counts: proportions.map(() => 0), logBayesFactor: 0, pValue: 1 });
}

/** The state after more units, given as counts per variant since the last look. */
export function addToSequentialSampleRatio(
  state: SequentialSampleRatio,
  batch: readonly number[],
  options: { readonly proportions: readonly number[]; readonly concentration?: number },
): SequentialSampleRatio {
  const counts = state.counts.map((count, i) => count + (batch[i] ?? 0));
  const logBayesFactor = sampleRatioLogBayesFactor(counts, options);
  return { counts, logBayesFactor, pValue: Math.min(state.pValue, Math.exp(-logBayesFactor)) };
}

/** ln of the evidence against the planned proportions: ln B(a0 + x) - ln B(a0) - sum x ln theta0, with a0 = k theta0. */
export function sampleRatioLogBayesFactor(
  counts: readonly number[],
  options: { readonly proportions: readonly number[]; readonly concentration?: number },
): number {
  const concentration = options.concentration ?? DEFAULT_CONCENTRATION;
  const prior = options.proportions.map((share) => concentration * share);
  const likelihood = counts.reduce((sum, count, i) => sum + count * Math.log(options.proportions[i]!), 0);
  return logMultivariateBeta(prior.map((a, i) => a + counts[i]!)) - logMultivariateBeta(prior) - likelihood;
}
