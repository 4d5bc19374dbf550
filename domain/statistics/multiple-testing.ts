// Corrections for testing several hypotheses at once: ten adjustments of p-values and which hypotheses they reject.
//
// Sources: Bonferroni; Sidak 1967; Holm 1979; Hochberg 1988 (Simes); Hommel 1988; Benjamini-Hochberg 1995 (fdr_bh);
// Benjamini-Yekutieli 2001 (fdr_by); Benjamini-Krieger-Yekutieli 2006 (two stages: fdr_tsbh, fdr_tsbky). Results equal
// statsmodels.stats.multitest.multipletests with its defaults.

export const ADJUSTMENTS = [
  'bonferroni',
  'holm',
  'hommel',
  'simes-hochberg',
  'sidak',
  'holm-sidak',
  'fdr_bh',
  'fdr_by',
  'fdr_tsbh',
  'fdr_tsbky',
] as const;

export type Adjustment = (typeof ADJUSTMENTS)[number];

/** `pValue` is at most 1 and can be compared with alpha; `rejected` is the decision at the alpha asked for. */
export type AdjustedPValue = { readonly pValue: number; readonly rejected: boolean };

/** Adjusts p-values (each in 0..1); answers in the order of the input. The two-stage methods depend on alpha. */
export function adjustPValues(
  pValues: readonly number[],
  options: { readonly method: Adjustment; readonly alpha: number },
): AdjustedPValue[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[a]! - pValues[b]!);
  const sorted = order.map((i) => pValues[i]!);
  const adjusted = adjustSorted(sorted, options.method, options.alpha);
  const result = new Array<AdjustedPValue>(pValues.length);
  order.forEach((original, rank) => {
    const { pValue, rejected } = adjusted[rank]!;
    result[original] = { pValue: Math.min(1, pValue), rejected };
  });
  return result;
}

function adjustSorted(p: readonly number[], method: Adjustment, alpha: number): AdjustedPValue[] {
  const m = p.length;
  switch (method) {
    case 'bonferroni':
      return p.map((value) => ({ pValue: value * m, rejected: value <= alpha / m }));
    case 'sidak': {
      const level = 1 - (1 - alpha) ** (1 / m);
      return p.map((value) => ({ pValue: sidak(value, m), rejected: value <= level }));
    }
    case 'holm':
      return stepDown(
        p,
        (value, k) => value * k,
        (value, k) => value <= alpha / k,
      );
    case 'holm-sidak':
      return stepDown(p, sidak, (value, k) => value <= 1 - (1 - alpha) ** (1 / k));
    case 'simes-hochberg':
      return stepUp(
        p,
        (value, rank) => value * (m - rank),
        (value, rank) => value <= alpha / (m - rank),
      );
    case 'hommel':
      return hommel(p, alpha);
    case 'fdr_bh':
      return falseDiscovery(p, alpha, 1);
    case 'fdr_by':
      return falseDiscovery(
        p,
        alpha,
        p.reduce((sum, _, i) => sum + 1 / (i + 1), 0),
      );
    case 'fdr_tsbh':
      return twoStage(p, alpha, 1);
    case 'fdr_tsbky':
      return twoStage(p, alpha, 1 + alpha);
  }
}

function sidak(value: number, k: number): number {
  return -Math.expm1(k * Math.log1p(-value));
}

/** From the smallest p-value on, until one is kept; `k` is the number of hypotheses not decided yet. */
function stepDown(
  p: readonly number[],
  adjust: (value: number, k: number) => number,
  reject: (value: number, k: number) => boolean,
): AdjustedPValue[] {
  let largest = 0;
  let rejecting = true;
  return p.map((value, rank) => {
    const k = p.length - rank;
    largest = Math.max(largest, adjust(value, k));
    rejecting = rejecting && reject(value, k);
    return { pValue: largest, rejected: rejecting };
  });
}

/** From the largest p-value down, until one is rejected, and with it all smaller ones. `rank` counts from zero. */
function stepUp(
  p: readonly number[],
  adjust: (value: number, rank: number) => number,
  reject: (value: number, rank: number) => boolean,
): AdjustedPValue[] {
  const result = new Array<AdjustedPValue>(p.length);
  let smallest = Number.POSITIVE_INFINITY;
  let rejecting = false;
  for (let rank = p.length - 1; rank >= 0; rank--) {
    smallest = Math.min(smallest, adjust(p[rank]!, rank));
    rejecting = rejecting || reject(p[rank]!, rank);
    result[rank] = { pValue: smallest, rejected: rejecting };
  }
  return result;
}

function falseDiscovery(p: readonly number[], alpha: number, penalty: number): AdjustedPValue[] {
  const factor = (rank: number): number => (rank + 1) / p.length / penalty;
  return stepUp(
    p,
    (value, rank) => value / factor(rank),
    (value, rank) => value <= factor(rank) * alpha,
  );
}

/** First stage: count the rejections. Second: spend alpha on the hypotheses that are left. */
function twoStage(p: readonly number[], alpha: number, inflation: number): AdjustedPValue[] {
  const firstAlpha = alpha / inflation;
  const first = capped(falseDiscovery(p, firstAlpha, 1));
  const rejectedCount = first.filter((one) => one.rejected).length;
  if (rejectedCount === 0 || rejectedCount === p.length) {
    return first.map((one) => ({ pValue: one.pValue * inflation, rejected: one.rejected }));
  }
  const left = p.length - rejectedCount;
  const second = capped(falseDiscovery(p, (firstAlpha * p.length) / left, 1));
  return second.map((one) => ({ pValue: one.pValue * (left / p.length) * inflation, rejected: one.rejected }));
}

function capped(values: readonly AdjustedPValue[]): AdjustedPValue[] {
  return values.map((one) => ({ pValue: Math.min(1, one.pValue), rejected: one.rejected }));
}

/** The closed procedure on Simes tests, by Wright's algorithm (Biometrics 1992). */
function hommel(p: readonly number[], alpha: number): AdjustedPValue[] {
  const n = p.length;
  const adjusted = [...p];
  for (let m = n; m > 1; m--) {
    let bound = Number.POSITIVE_INFINITY;
    for (let j = 1; j <= m; j++) bound = Math.min(bound, (m * p[n - m + j - 1]!) / j);
    for (let i = 0; i < n; i++) {
      const candidate = i >= n - m ? bound : Math.min(m * p[i]!, bound);
      adjusted[i] = Math.max(adjusted[i]!, candidate);
    }
  }
  return adjusted.map((pValue) => ({ pValue, rejected: pValue <= alpha }));
}
