// Shares as integer basis points (0..10000), and their exact reading from decimals of YAML and JSON.

export const FULL_SHARE = 10_000;

export type BasisPointsResult =
  | { readonly status: 'parsed'; readonly basisPoints: number }
  | { readonly status: 'refused'; readonly message: string };

/**
 * Reads a share between 0 and 1, given as a number or as decimal text, without rounding: `0.3333` is 3333.
 * More than four decimals are refused, because 0.33333 would silently become another share than the one written.
 */
export function parseBasisPoints(value: unknown): BasisPointsResult {
  const share = typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value;
  if (typeof share !== 'number' || !Number.isFinite(share)) {
    return refused(`${show(value)} is not a share: write a number between 0 and 1, such as 0.25`);
  }
  if (share < 0 || share > 1) return refused(`${show(value)} is not between 0 and 1`);
  const basisPoints = Math.round(share * FULL_SHARE);
  // A decimal with at most four places is the double nearest to basisPoints / 10000, which is what division returns.
  const isExact = basisPoints / FULL_SHARE === share && !(typeof value === 'string' && /\.\d{4}\d*[1-9]/.test(value));
  if (isExact) return { status: 'parsed', basisPoints };
  return refused(
    `${show(value)} has more than four decimals, and shares are whole basis points: write ${formatBasisPoints(basisPoints)} or another share of at most four decimals`,
  );
}

/** The decimal text of a share, as it is written in definition files: 3333 is `0.3333`. */
export function formatBasisPoints(basisPoints: number): string {
  return String(basisPoints / FULL_SHARE);
}

function refused(message: string): BasisPointsResult {
  return { status: 'refused', message };
}

function show(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : typeof value === 'number' ? String(value) : `a ${typeof value}`;
}
