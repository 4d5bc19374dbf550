// The rows that a batch of events comes down to, one type per table that the group maintains.
import type { WindowGranularity } from '#domain/windows/tumbling-window.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

/** One variant of one experiment. Rows of a batch share the object, so it can be compared by identity within the batch. */
export type Arm = { readonly experimentId: string; readonly variantId: string };

/** Sums that can be added to a stored row in any order. */
export type Tally = { count: number; sum: number; min: number; max: number };

/** exp.metric_aggregates: `mean` and `m2` (sum of squared deviations from it) are of the values of this row alone. */
export type WindowRow = Tally & {
  readonly arm: Arm;
  readonly metricName: string;
  readonly granularity: WindowGranularity;
  readonly windowStartMs: number;
  mean: number;
  m2: number;
};

/** exp.metric_aggregate_bins */
export type BinRow = {
  readonly arm: Arm;
  readonly metricName: string;
  readonly granularity: WindowGranularity;
  readonly windowStartMs: number;
  readonly bin: number;
  count: number;
};

/** exp.unit_daily_metrics */
export type UnitDailyRow = Tally & {
  readonly unitType: string;
  readonly unitId: string;
  readonly metricName: string;
  readonly dayStartMs: number;
};

/** exp.unit_metrics */
export type UnitMetricRow = Tally & { readonly arm: Arm; readonly unitId: string; readonly metricName: string };

/** exp.unit_pending_metrics */
export type PendingRow = {
  readonly arm: Arm;
  readonly unitId: string;
  readonly eventId: string;
  readonly eventTimeMs: number;
  readonly metricName: string;
  readonly value: number;
};

/** What a batch says about one unit in one arm: its earliest exposure, if any, and its events with values. */
export type UnitInArm = {
  readonly arm: Arm;
  readonly unitId: string;
  /** Infinity when the batch has no exposure of this unit to this arm. */
  exposedAtMs: number;
  /** Event time of the earliest of `events`; Infinity when there is none. */
  measuredFromMs: number;
  /** As they are: an object for each of their values would be most of what a flush makes. */
  readonly events: EventRecord[];
};

export type BatchAggregates = {
  readonly windows: readonly WindowRow[];
  readonly bins: readonly BinRow[];
  readonly unitDays: readonly UnitDailyRow[];
  readonly unitsInArms: readonly UnitInArm[];
};

export const emptyTally = (): Tally => ({
  count: 0,
  sum: 0,
  min: Number.POSITIVE_INFINITY,
  max: Number.NEGATIVE_INFINITY,
});

export function addToTally(tally: Tally, value: number): void {
  tally.count += 1;
  tally.sum += value;
  if (value < tally.min) tally.min = value;
  if (value > tally.max) tally.max = value;
}

/** Ascending by UTF-16 code units: the one order in which every member of the group locks rows. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function compareArms(a: Arm, b: Arm): number {
  return compareText(a.experimentId, b.experimentId) || compareText(a.variantId, b.variantId);
}

export function getOrCreate<K, V>(map: Map<K, V>, key: K, create: () => V): V {
  let found = map.get(key);
  if (found === undefined) {
    found = create();
    map.set(key, found);
  }
  return found;
}
