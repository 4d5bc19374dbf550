// What a benchmark found: ratios of two things measured in turn, and values with a limit; pure.

/** One measurement of one contender. */
export type Sample = {
  readonly perSecond: number;
  /** Whatever explains the speed, by name with its unit, such as `p99 ms`. */
  readonly notes: Readonly<Record<string, number>>;
};

export type Spread = { readonly median: number; readonly min: number; readonly max: number };

export type Measured = {
  readonly name: string;
  /** What is counted per second. */
  readonly unit: string;
  readonly samples: readonly Sample[];
};

export type Finding =
  | {
      readonly kind: 'ratio';
      readonly name: string;
      readonly subject: Measured;
      readonly baseline: Measured;
      /** Of each repetition the speed of the subject divided by that of the baseline. */
      readonly ratio: Spread;
      /** At least this much is asked for, and this is aimed at. */
      readonly bar: number;
      readonly aim: number | null;
      readonly ok: boolean;
    }
  | {
      readonly kind: 'limit';
      readonly name: string;
      readonly unit: string;
      readonly value: Spread;
      /** At most this much is allowed; the limit itself is not when `exclusive`. */
      readonly limit: number;
      readonly exclusive: boolean;
      readonly ok: boolean;
      readonly notes: Readonly<Record<string, number>>;
    };

/** @throws RangeError without values. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const [min, max] = [sorted[0], sorted[sorted.length - 1]];
  if (min === undefined || max === undefined) throw new RangeError('a spread needs values');
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min, max };
}

/** Compares samples of the same repetitions, pair by pair: what slows a repetition down then slows both. */
export function toRatioFinding(
  name: string,
  measured: { subject: Measured; baseline: Measured },
  asked: { bar: number; aim?: number },
): Finding {
  const { subject, baseline } = measured;
  const ratio = spreadOf(subject.samples.map(({ perSecond }, index) => perSecond / baseline.samples[index]!.perSecond));
  const { bar, aim } = asked;
  return { kind: 'ratio', name, subject, baseline, ratio, bar, aim: aim ?? null, ok: ratio.median >= bar };
}

/** Judges the median. */
export function toLimitFinding(
  name: string,
  measured: { unit: string; values: readonly number[]; notes?: Readonly<Record<string, number>> },
  asked: { limit: number; exclusive?: boolean },
): Finding {
  const { unit, values, notes = {} } = measured;
  const value = spreadOf(values);
  const exclusive = asked.exclusive ?? false;
  const ok = exclusive ? value.median < asked.limit : value.median <= asked.limit;
  return { kind: 'limit', name, unit, value, limit: asked.limit, exclusive, ok, notes };
}
