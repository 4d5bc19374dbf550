// Which comparisons of an experiment share a correction: the plain methods, and those that spare guardrails.
//
// Source: Schultzberg, Ankargren, Franberg 2024, "Risk-aware product decisions in A/B tests with multiple metrics": success
// metrics share alpha, since one of them is enough to ship; guardrails do not, since all of them must hold. Method names as in
// spotify-confidence 4.
import { ADJUSTMENTS, type Adjustment, adjustPValues } from './multiple-testing.ts';

const SPARING = [
  'spot-1-bonferroni',
  'spot-1-holm',
  'spot-1-hommel',
  'spot-1-simes-hochberg',
  'spot-1-sidak',
  'spot-1-holm-sidak',
  'spot-1-fdr_bh',
  'spot-1-fdr_by',
  'spot-1-fdr_tsbh',
  'spot-1-fdr_tsbky',
] as const;

export const CORRECTION_METHODS = [
  ...ADJUSTMENTS,
  'bonferroni-only-count-twosided',
  'bonferroni-do-not-count-non-inferiority',
  ...SPARING,
] as const;

export type CorrectionMethod = (typeof CORRECTION_METHODS)[number];

export function isCorrectionMethod(name: string): name is CorrectionMethod {
  return (CORRECTION_METHODS as readonly string[]).includes(name);
}

/** One comparison of a metric between two variants. */
export type Comparison = {
  readonly pValue: number;
  readonly twoSided: boolean;
  /** A guardrail: tested against a margin that it must not cross. */
  readonly nonInferiority: boolean;
};

export type CorrectedComparison = {
  /** Compare with alpha. */
  readonly adjustedPValue: number;
  /** The level of this comparison's own interval. */
  readonly adjustedAlpha: number;
  readonly significant: boolean;
};

/** By how many comparisons a method divides alpha. Step-wise methods divide by none: they adjust p-values instead. */
export function countComparisons(comparisons: readonly Comparison[], method: CorrectionMethod): number {
  if (method === 'bonferroni') return Math.max(1, comparisons.length);
  if (method === 'bonferroni-only-count-twosided') {
    return Math.max(1, comparisons.filter((one) => one.twoSided).length);
  }
  if (method === 'bonferroni-do-not-count-non-inferiority' || method.startsWith('spot-1-')) {
    return Math.max(1, comparisons.filter((one) => !one.nonInferiority).length);
  }
  return 1;
}

/** The step-wise adjustment of a method, or null when it only divides alpha. */
export function adjustmentOf(method: CorrectionMethod): Adjustment | null {
  const name = method.startsWith('spot-1-') ? method.slice('spot-1-'.length) : method;
  return name !== 'bonferroni' && (ADJUSTMENTS as readonly string[]).includes(name) ? (name as Adjustment) : null;
}

/**
 * Corrects all comparisons of one decision together. `comparisonCount` overrides how many share alpha; `alphas` are
 * the comparisons' own levels where they differ from `alpha`.
 */
export function correctComparisons(
  comparisons: readonly Comparison[],
  options: {
    readonly method: CorrectionMethod;
    readonly alpha: number;
    readonly comparisonCount?: number;
    readonly alphas?: readonly number[];
  },
): CorrectedComparison[] {
  const count = options.comparisonCount ?? countComparisons(comparisons, options.method);
  const adjustment = adjustmentOf(options.method);
  const adjusted =
    adjustment === null
      ? null
      : adjustPValues(
          comparisons.map((one) => one.pValue),
          { method: adjustment, alpha: options.alpha },
        );
  return comparisons.map((one, i) => {
    const adjustedAlpha = (options.alphas?.[i] ?? options.alpha) / count;
    if (adjusted !== null) {
      return { adjustedPValue: adjusted[i]!.pValue, adjustedAlpha, significant: adjusted[i]!.rejected };
    }
    return { adjustedPValue: Math.min(1, one.pValue * count), adjustedAlpha, significant: one.pValue < adjustedAlpha };
  });
}
