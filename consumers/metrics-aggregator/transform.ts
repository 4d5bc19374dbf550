// Turns a batch of events into pre-aggregated rows, sorted so that all members lock rows in the same order; pure.
import { eventDateOf } from '#domain/event/parse-event.ts';
import { binOf } from '#domain/statistics/sketch.ts';
import { windowStartOf } from '#domain/windows/tumbling-window.ts';
import { eventTypes } from '#schemas/event-types.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import {
  type Arm,
  addToTally,
  type BatchAggregates,
  type BinRow,
  compareArms,
  compareText,
  emptyTally,
  getOrCreate,
  type Tally,
  type UnitDailyRow,
  type UnitInArm,
  type WindowRow,
} from './aggregate-rows.ts';

/**
 * Metrics beyond this magnitude are refused: their squares, and sums over any number of them, would leave the range of a
 * double, and Postgres raises an error for every later value of the same window.
 */
export const largestMetricMagnitude = 1e100;

/** The first metric that cannot be aggregated, or undefined. */
export function findOversizedMetric(event: EventRecord): string | undefined {
  for (const name in event.metrics) {
    if (Math.abs(event.metrics[name]!) > largestMetricMagnitude) return name;
  }
  return undefined;
}

/** Identity of an event: its id and the UTC day of its event time. */
export function identityOf(event: EventRecord): string {
  return event.event_id + eventDateOf(event.event_time);
}

/** The events whose identity did not occur earlier in the list. */
export function withoutRepeats(events: readonly EventRecord[]): EventRecord[] {
  const seen = new Set<string>();
  return events.filter((event) => {
    const before = seen.size;
    return seen.add(identityOf(event)).size > before;
  });
}

/** Values of one metric in one hour, while the batch is read. */
type HourState = Tally & { mean: number; m2: number; readonly bins: Map<number, number> };
type MetricState = { readonly metricName: string; readonly hours: Map<number, HourState> };
type ArmState = {
  readonly arm: Arm;
  readonly isImplicit: boolean;
  readonly metrics: Map<string, MetricState>;
  readonly units: Map<string, UnitInArm>;
};

const emptyHour = (): HourState => ({ ...emptyTally(), mean: 0, m2: 0, bins: new Map() });

/** Welford's step for mean and m2, as in domain/statistics/moments.ts, in place: this runs for every value. */
function addToHour(hour: HourState, value: number, bin: number): void {
  addToTally(hour, value);
  const delta = value - hour.mean;
  hour.mean += delta / hour.count;
  hour.m2 += delta * (value - hour.mean);
  hour.bins.set(bin, (hour.bins.get(bin) ?? 0) + 1);
}

/** Chan's merge, as in domain/statistics/moments.ts, in place. */
function mergeIntoDay(day: HourState, hour: HourState): void {
  const count = day.count + hour.count;
  const delta = hour.mean - day.mean;
  day.m2 += hour.m2 + delta * delta * ((day.count * hour.count) / count);
  day.mean = (day.mean * day.count + hour.mean * hour.count) / count;
  day.count = count;
  day.sum += hour.sum;
  day.min = Math.min(day.min, hour.min);
  day.max = Math.max(day.max, hour.max);
  for (const [bin, binCount] of hour.bins) day.bins.set(bin, (day.bins.get(bin) ?? 0) + binCount);
}

/**
 * Aggregates events that were accepted (claimed, no repeats). The order of the events does not matter: rows come sorted.
 * `isImplicit` says whether every event that names the experiment is an exposure.
 */
export function aggregateEvents(
  events: readonly EventRecord[],
  isImplicit: (experimentId: string) => boolean,
): BatchAggregates {
  // Read in unit order, every map below fills in the order in which its rows must be written.
  const inUnitOrder = [...events].sort((a, b) => compareText(a.unit_id, b.unit_id));
  const armsByExperiment = new Map<string, Map<string, ArmState>>();
  const unitDays = new Map<string, Map<number, Map<string, Map<string, UnitDailyRow>>>>();

  for (const event of inUnitOrder) {
    const timeMs = event.event_time;
    const hourStartMs = windowStartOf(timeMs, 'hour');
    const dayStartMs = windowStartOf(timeMs, 'day');
    const isExposure = eventTypes[event.event_type]?.isExposure === true;
    const metricNames = Object.keys(event.metrics);

    if (metricNames.length > 0) {
      const days = getOrCreate(unitDays, event.unit_type, () => new Map());
      const metricsOfDay = getOrCreate(days, dayStartMs, () => new Map());
      for (const metricName of metricNames) {
        const units = getOrCreate(metricsOfDay, metricName, () => new Map());
        const row = getOrCreate(units, event.unit_id, () => ({
          unitType: event.unit_type,
          unitId: event.unit_id,
          metricName,
          dayStartMs,
          ...emptyTally(),
        }));
        addToTally(row, event.metrics[metricName]!);
      }
    }

    for (const ref of event.experiments) {
      const variants = getOrCreate(armsByExperiment, ref.experiment_id, () => new Map());
      const armState = getOrCreate(variants, ref.variant_id, () => ({
        arm: { experimentId: ref.experiment_id, variantId: ref.variant_id },
        isImplicit: isImplicit(ref.experiment_id),
        metrics: new Map(),
        units: new Map(),
      }));
      const unit = getOrCreate<string, UnitInArm>(armState.units, event.unit_id, () => ({
        arm: armState.arm,
        unitId: event.unit_id,
        exposedAtMs: Number.POSITIVE_INFINITY,
        values: [],
      }));
      if ((isExposure || armState.isImplicit) && timeMs < unit.exposedAtMs) unit.exposedAtMs = timeMs;
      for (const metricName of metricNames) {
        const value = event.metrics[metricName]!;
        const metric = getOrCreate(armState.metrics, metricName, () => ({ metricName, hours: new Map() }));
        addToHour(getOrCreate(metric.hours, hourStartMs, emptyHour), value, binOf(value));
        unit.values.push({ eventId: event.event_id, eventTimeMs: timeMs, metricName, value });
      }
    }
  }

  const arms = [...armsByExperiment.values()]
    .flatMap((variants) => [...variants.values()])
    .sort((a, b) => compareArms(a.arm, b.arm));
  return {
    ...windowRowsOf(arms),
    unitDays: unitDayRowsOf(unitDays),
    unitsInArms: arms.flatMap(({ units }) => [...units.values()]),
  };
}

function windowRowsOf(arms: readonly ArmState[]): { windows: WindowRow[]; bins: BinRow[] } {
  const windows: WindowRow[] = [];
  const bins: BinRow[] = [];
  for (const { arm, metrics } of arms) {
    for (const { metricName, hours } of [...metrics.values()].sort((a, b) => compareText(a.metricName, b.metricName))) {
      const days = new Map<number, HourState>();
      for (const [hourStartMs, hour] of hours) {
        mergeIntoDay(getOrCreate(days, windowStartOf(hourStartMs, 'day'), emptyHour), hour);
      }
      for (const [granularity, states] of [
        ['day', days],
        ['hour', hours],
      ] as const) {
        for (const [windowStartMs, { bins: binCounts, ...moments }] of [...states].sort(([a], [b]) => a - b)) {
          const key = { arm, metricName, granularity, windowStartMs };
          windows.push({ ...key, ...moments });
          for (const [bin, count] of [...binCounts].sort(([a], [b]) => a - b)) bins.push({ ...key, bin, count });
        }
      }
    }
  }
  return { windows, bins };
}

function unitDayRowsOf(
  unitDays: ReadonlyMap<string, ReadonlyMap<number, ReadonlyMap<string, ReadonlyMap<string, UnitDailyRow>>>>,
): UnitDailyRow[] {
  const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => compareText(a, b);
  const rows: UnitDailyRow[] = [];
  for (const [, days] of [...unitDays].sort(byName)) {
    for (const [, metrics] of [...days].sort(([a], [b]) => a - b)) {
      for (const [, units] of [...metrics].sort(byName)) {
        for (const row of units.values()) rows.push(row);
      }
    }
  }
  return rows;
}
