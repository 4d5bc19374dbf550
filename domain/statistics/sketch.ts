// A mergeable percentile sketch with one percent relative accuracy whose bins are plain (bin, count) rows.
//
// Source: DDSketch (Masson, Rim, Lee 2019, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
// guarantees"), logarithmic mapping, without collapsing. A bin is one signed integer, which fits a Postgres int4 and
// sorts in the order of the values it holds. Encoding, version 1:
//
//   x with |x| < 1e-9     bin = 0
//   any other finite x    bin = sign(x) * (ceil(ln|x| / LOG_GAMMA) + 1037)
//
// 1e-9 has the bin 1 and the largest double 36,525. The same in SQL, x being double precision:
//
//   CASE WHEN abs(x) < 1e-9 THEN 0
//        ELSE (sign(x) * (ceil(ln(abs(x)) / 0.020000666706669525::float8) + 1037))::int END

import { computed, notComputable, type Outcome } from './result.ts';

/** Stored beside the bins; sketches of different versions must not be merged. */
export const SKETCH_VERSION = 1;
/** Largest relative error of a quantile, against the value of the same rank. */
export const SKETCH_RELATIVE_ACCURACY = 0.01;
/** Magnitudes below this count as zero. */
export const SKETCH_SMALLEST_MAGNITUDE = 1e-9;
/** ln((1 + a) / (1 - a)), a literal so that every engine divides by the same double. */
export const SKETCH_LOG_GAMMA = 0.020000666706669525;
/** Added to the logarithmic index so that the smallest positive bin is 1. */
export const SKETCH_INDEX_OFFSET = 1037;

/** One row of a sketch: how many values fell in the bin. */
export type SketchBin = { readonly bin: number; readonly count: number };

/**
 * The bin that holds a value.
 * @throws RangeError for NaN and infinities: a value that violates the rules of its metric has no bin.
 */
export function binOf(value: number): number {
  if (!Number.isFinite(value)) throw new RangeError(`a sketch holds finite values only, not ${value}`);
  const magnitude = Math.abs(value);
  if (magnitude < SKETCH_SMALLEST_MAGNITUDE) return 0;
  const index = Math.ceil(Math.log(magnitude) / SKETCH_LOG_GAMMA) + SKETCH_INDEX_OFFSET;
  return value < 0 ? -index : index;
}

/** The value that stands for a bin: within 1 % of every value the bin can hold. */
export function valueOfBin(bin: number): number {
  if (!Number.isInteger(bin)) throw new RangeError(`a bin is an integer, not ${bin}`);
  if (bin === 0) return 0;
  // 2 gamma^k / (gamma + 1) = (1 - a) gamma^k, in logarithms so that the last bin does not overflow.
  const logMagnitude = (Math.abs(bin) - SKETCH_INDEX_OFFSET) * SKETCH_LOG_GAMMA + Math.log1p(-SKETCH_RELATIVE_ACCURACY);
  const magnitude = Math.min(Math.exp(logMagnitude), Number.MAX_VALUE);
  return bin < 0 ? -magnitude : magnitude;
}

/** Adds up the rows of any number of sketches: one row per bin, sorted by bin, so equal contents give equal rows. */
export function mergeSketches(...sketches: readonly Iterable<SketchBin>[]): SketchBin[] {
  const counts = new Map<number, number>();
  for (const sketch of sketches) {
    for (const { bin, count } of sketch) counts.set(bin, (counts.get(bin) ?? 0) + count);
  }
  return [...counts].sort(([a], [b]) => a - b).map(([bin, count]) => ({ bin, count }));
}

/** The sketch of some values. Throws like {@link binOf}. */
export function sketchOf(values: Iterable<number>): SketchBin[] {
  const counts = new Map<number, number>();
  for (const value of values) {
    const bin = binOf(value);
    counts.set(bin, (counts.get(bin) ?? 0) + 1);
  }
  return mergeSketches([...counts].map(([bin, count]) => ({ bin, count })));
}

/**
 * The q-quantile (q in 0..1): the value of the lowest bin whose cumulative count exceeds q * (n - 1), which is within
 * 1 % of the value of rank floor(q * (n - 1)) counted from zero. In SQL: the first row, ordered by bin, where
 * `sum(count) OVER (ORDER BY bin) > q * (n - 1)`. Rows may come in any order.
 */
export function quantile(bins: Iterable<SketchBin>, q: number): Outcome<{ value: number }> {
  if (!(q >= 0 && q <= 1)) return notComputable('invalid-input', `a quantile lies in 0..1, not ${q}`);
  const rows = mergeSketches(bins);
  const total = rows.reduce((sum, row) => sum + row.count, 0);
  if (total === 0) return notComputable('no-data', 'the sketch is empty');
  let cumulative = 0;
  for (const row of rows) {
    cumulative += row.count;
    if (cumulative > q * (total - 1)) return computed({ value: valueOfBin(row.bin) });
  }
  return notComputable('invalid-input', 'the counts of the sketch do not add up');
}
