// Inference on a quantile of events (p50, p90, p99 of latency), also when events are clustered by unit.
//
// Sources: Deng, Knoblich, Lu 2018, section 4 (outer confidence interval of a quantile from order statistics, cluster
// variance of the indicator by the delta method), in the form of gbstats 0.8.0.
import { normalQuantile } from './special-functions.ts';

/** The 95 % level at which `lower` and `upper` are read. */
const Z = normalQuantile(0.975);

export type QuantileStatistic = {
  readonly kind: 'quantile';
  /** Number of events. */
  readonly count: number;
  /** Number of events that `lower` and `upper` were computed for; the variance is rescaled from it to `count`. */
  readonly boundsCount: number;
  /** The level, in (0, 1). */
  readonly level: number;
  readonly estimate: number;
  /** Sample quantiles at level -/+ 1.96 sqrt(level (1 - level) / boundsCount). */
  readonly lower: number;
  readonly upper: number;
  /** Present when units own several events each, which are then not independent. */
  readonly clusters?: QuantileClusters;
};

/** Per unit: `below` counts its events at or below the quantile, `events` all of its events. Sums over units. */
export type QuantileClusters = {
  readonly unitCount: number;
  readonly belowSum: number;
  readonly belowSumSquares: number;
  readonly eventSum: number;
  readonly eventSumSquares: number;
  readonly productSum: number;
};

/** The two levels at which `lower` and `upper` of a {@link QuantileStatistic} have to be read from the data. */
export function quantileBoundLevels(level: number, eventCount: number): { lower: number; upper: number } {
  const halfWidth = Z * Math.sqrt((level * (1 - level)) / eventCount);
  return { lower: level - halfWidth, upper: level + halfWidth };
}

function rawVariance(statistic: QuantileStatistic): number {
  const { count, boundsCount, level, lower, upper, clusters } = statistic;
  if (count <= 1) return 0;
  const independent = (boundsCount / count) * (count - 1) * ((upper - lower) / (2 * Z)) ** 2;
  if (clusters === undefined) return independent;
  if (level === 0 || clusters.unitCount <= 1 || clusters.eventSum <= 0) return 0;
  return independent * (clusterVariance(clusters) / ((level * (1 - level)) / count));
}

/** Variance of (events below) / (events) when units are the independent draws. */
function clusterVariance(clusters: QuantileClusters): number {
  const k = clusters.unitCount;
  const below = clusters.belowSum / k;
  const events = clusters.eventSum / k;
  const unbias = k / (k - 1);
  const varBelow = (clusters.belowSumSquares / k - below * below) * unbias;
  const varEvents = (clusters.eventSumSquares / k - events * events) * unbias;
  const covariance = (clusters.productSum / k - below * events) * unbias;
  const ratio = below / events;
  return (varBelow - 2 * ratio * covariance + ratio * ratio * varEvents) / (k * events * events);
}

/**
 * Variance of one event's contribution to the quantile; divide by `count` for the variance of the estimate.
 * From 100 events on it is at least 1e-5, so that rounded data cannot claim certainty.
 */
export function quantileVariance(statistic: QuantileStatistic): number {
  const variance = rawVariance(statistic);
  return statistic.count < 100 ? variance : Math.max(variance, 1e-5);
}

/** False when the interval would reach beyond the smallest or largest event, or when its bounds coincide. */
export function quantileHasVariance(statistic: QuantileStatistic): boolean {
  const { count, level } = statistic;
  if (count <= (Z * Z * level) / (1 - level)) return false;
  if (count <= (Z * Z * (1 - level)) / level) return false;
  return rawVariance(statistic) > 0;
}
