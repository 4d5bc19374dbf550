// One-sided intervals that agree with a step-wise correction: a rejected hypothesis lies outside its interval.
//
// Source: Strassburger and Bretz 2008, "Compatible simultaneous lower confidence bounds for the Holm procedure and other
// Bonferroni-based closed tests"; Guilbaud 2012 for Hommel and Hochberg; weight 1 as in spotify-confidence 4.
import type { Interval } from './hypothesis.ts';
import { normalQuantile } from './special-functions.ts';

export type StepWiseInterval = {
  readonly estimate: number;
  readonly standardError: number;
  readonly nullDifference: number;
  readonly alternative: 'larger' | 'smaller';
  readonly rejected: boolean;
};

/** Intervals of all hypotheses that were corrected together by Holm's method, or by Hommel's or Hochberg's. */
export function stepWiseIntervals(
  hypotheses: readonly StepWiseInterval[],
  options: { readonly method: 'holm' | 'hommel' | 'simes-hochberg'; readonly alpha: number },
): Interval[] {
  const count = hypotheses.length;
  const kept = hypotheses.filter((one) => !one.rejected).length;
  const allRejected = options.method === 'holm' ? 1 - options.alpha / count : (1 - options.alpha) ** (1 / count);
  return hypotheses.map((one) => {
    // With weight one, a rejected hypothesis among kept ones is only bounded by its null value.
    const level = one.rejected ? (kept === 0 ? allRejected : 1) : 1 - options.alpha / kept;
    const width = normalQuantile(level) * one.standardError;
    if (one.alternative === 'larger') {
      const bound = one.estimate - width;
      return { lower: one.rejected ? Math.max(one.nullDifference, bound) : bound, upper: Number.POSITIVE_INFINITY };
    }
    const bound = one.estimate + width;
    return { lower: Number.NEGATIVE_INFINITY, upper: one.rejected ? Math.min(one.nullDifference, bound) : bound };
  });
}
