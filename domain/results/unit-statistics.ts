// From moments that the database computed over units with values to the statistic of all units of a variant.
import type { MetricDefinition } from '#domain/metrics/metric-definition.ts';
import { ratioStatistic } from '#domain/statistics/ratio.ts';
import { meanSample, mergeCoMoments, mergeSamples, proportionSample, type Sample } from '#domain/statistics/sample.ts';
import { type Statistic, sampleStatistic } from '#domain/statistics/statistic.ts';

/** Mean and sum of squared deviations of one number per unit. */
export type Moment = { readonly mean: number; readonly m2: number };

/** What belongs to one variant in one period (and, where asked for, in one segment or on one day of exposure). */
export type Cell = {
  readonly variantId: string;
  readonly period: number;
  /** Value of a segment, or the UTC day of the first exposure; empty when there is only one stratum. */
  readonly stratum: string;
};

/**
 * Moments over the units of a cell that have values. `x` is the number of the metric, or its numerator; `y` the denominator of
 * a ratio, else 0. `pre` is the same before the first exposure, 0 for units without values then.
 */
export type UnitMoments = Cell & {
  readonly metric: string;
  readonly units: number;
  readonly x: Moment;
  readonly y: Moment;
  readonly xy: number;
  readonly pre: PreMoments | null;
};

export type PreMoments = {
  readonly x: Moment;
  readonly y: Moment;
  readonly xy: number;
  /** Sums of products of deviations, the metric's part first: x with pre x, x with pre y, y with pre x, y with pre y. */
  readonly cross: readonly [number, number, number, number];
};

const zero = { mean: 0, m2: 0 };
const noMoments = { units: 0, x: zero, y: zero, xy: 0, pre: null };

/**
 * The statistic of a variant with `unitCount` units, of which those without values have 0 (a mean leaves them out).
 * @throws RangeError when more units have values than there are: the two were not read from the same state.
 */
export function toStatistic(
  metric: MetricDefinition,
  moments: Pick<UnitMoments, 'units' | 'x' | 'y' | 'xy' | 'pre'> | undefined,
  unitCount: number,
): Statistic {
  const { units, x, y, xy, pre } = moments ?? noMoments;
  if (units > unitCount) throw new RangeError(`${metric.name}: ${units} units have values, and there are ${unitCount}`);
  const count = metric.kind === 'mean' ? units : unitCount;
  const all = (moment: Moment): Sample => withZeros(moment, units, count);
  const allPairs = (a: Moment, b: Moment, coMoment: number): number => coMomentWithZeros(a, b, coMoment, units, count);
  if (metric.kind === 'ratio') {
    const parts = { numerator: all(x), denominator: all(y), coMoment: allPairs(x, y, xy) };
    if (pre === null) return ratioStatistic(parts);
    const [xx, xy0, yx, yy] = pre.cross;
    return {
      kind: 'cuped-ratio',
      count,
      post: parts,
      pre: { numerator: all(pre.x), denominator: all(pre.y), coMoment: allPairs(pre.x, pre.y, pre.xy) },
      cross: {
        numeratorNumerator: allPairs(x, pre.x, xx),
        numeratorDenominator: allPairs(x, pre.y, xy0),
        denominatorNumerator: allPairs(y, pre.x, yx),
        denominatorDenominator: allPairs(y, pre.y, yy),
      },
      theta: null,
    };
  }
  const post =
    metric.kind === 'proportion' ? proportionSample({ count, successes: Math.round(x.mean * units) }) : all(x);
  if (pre === null) return sampleStatistic(post);
  return {
    kind: 'cuped',
    count,
    // A proportion with a covariate is a mean of zeros and ones.
    post: { ...post, family: 'mean' },
    pre: all(pre.x),
    coMoment: allPairs(x, pre.x, pre.cross[0]),
    theta: null,
  };
}

function withZeros({ mean, m2 }: Moment, units: number, count: number): Sample {
  return mergeSamples(meanSample({ count: units, mean, m2 }), meanSample({ count: count - units, ...zero }));
}

function coMomentWithZeros(a: Moment, b: Moment, coMoment: number, units: number, count: number): number {
  const zeros = meanSample({ count: count - units, ...zero });
  return mergeCoMoments(
    { x: meanSample({ count: units, ...a }), y: meanSample({ count: units, ...b }), coMoment },
    { x: zeros, y: zeros, coMoment: 0 },
  );
}
