// Turns a batch of events into pre-aggregated rows, sorted so that all members lock rows in the same order; pure.
import type { createEventParser } from '#domain/event/decode-event.ts';
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

const noContext: EventRecord['context'] = Object.freeze({});

/** The parser, whose events hold only what the group reads: context and payload are most of an event, and thousands of events wait. */
export function measuredOnly(parse: ReturnType<typeof createEventParser>): ReturnType<typeof createEventParser> {
  return (value, record) => {
    const parsed = parse(value, record);
    if (parsed.ok) {
      parsed.value.context = noContext;
      parsed.value.payload = null;
    }
    return parsed;
  };
}

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
  const seenByDay = new Map<number, Set<string>>();
  return events.filter((event) => {
    const seen = getOrCreate(seenByDay, windowStartOf(event.event_time, 'day'), () => new Set());
    const before = seen.size;
    return seen.add(event.event_id).size > before;
  });
}

/** Values of one metric in one hour, while the batch is read. */
type HourState = Tally & { mean: number; m2: number; readonly bins: Map<number, number> };
/** Names of metrics are compared as objects of the batch: every event brings texts of its own. */
type Metric = { readonly metricName: string };
type MetricState = { readonly metric: Metric; readonly hours: Map<number, HourState> };
type ArmState = {
  readonly arm: Arm;
  readonly isImplicit: boolean;
  readonly metrics: Map<Metric, MetricState>;
  readonly units: UnitInArm[];
};
type UnitState = {
  readonly unitId: string;
  readonly days: (UnitDailyRow & { readonly metric: Metric })[];
  readonly arms: { readonly armState: ArmState; readonly unit: UnitInArm }[];
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

/** A unit has few rows in a batch: looking through them costs less than a key for each. */
function dayRowOf(unit: UnitState, unitType: string, dayStartMs: number, metric: Metric): UnitDailyRow {
  for (const row of unit.days) {
    if (row.metric === metric && row.dayStartMs === dayStartMs && row.unitType === unitType) return row;
  }
  const row = { metric, unitType, unitId: unit.unitId, metricName: metric.metricName, dayStartMs, ...emptyTally() };
  unit.days.push(row);
  return row;
}

function unitInArmOf(unit: UnitState, armState: ArmState): UnitInArm {
  for (const entry of unit.arms) if (entry.armState === armState) return entry.unit;
  const { arm } = armState;
  const unitInArm: UnitInArm = {
    arm,
    unitId: unit.unitId,
    exposedAtMs: Number.POSITIVE_INFINITY,
    measuredFromMs: Number.POSITIVE_INFINITY,
    events: [],
  };
  unit.arms.push({ armState, unit: unitInArm });
  return unitInArm;
}

/**
 * Aggregates events that were accepted (claimed, no repeats). The order of the events does not matter: rows come sorted, those of
 * units by unit first, as the indexes of their tables are.
 * `isImplicit` says whether every event that names the experiment is an exposure.
 */
export function aggregateEvents(
  events: readonly EventRecord[],
  isImplicit: (experimentId: string) => boolean,
): BatchAggregates {
  const metrics = new Map<string, Metric>();
  const arms = new Map<string, Map<string, ArmState>>();
  const unitsInOrder: UnitState[] = [];
  const armStateOf = (arm: Arm): ArmState => ({
    arm,
    isImplicit: isImplicit(arm.experimentId),
    metrics: new Map(),
    units: [],
  });

  // In unit order, so that the rows of a unit are at hand and come out sorted.
  const inUnitOrder = [...events].sort((a, b) => compareText(a.unit_id, b.unit_id));
  let unit: UnitState = { unitId: '', days: [], arms: [] };
  for (const event of inUnitOrder) {
    const timeMs = event.event_time;
    const hourStartMs = windowStartOf(timeMs, 'hour');
    const dayStartMs = windowStartOf(timeMs, 'day');
    const isExposure = eventTypes[event.event_type]?.isExposure === true;
    if (event.unit_id !== unit.unitId) {
      unit = { unitId: event.unit_id, days: [], arms: [] };
      unitsInOrder.push(unit);
    }
    const named: Metric[] = [];
    const values: number[] = [];
    for (const metricName in event.metrics) {
      const metric = getOrCreate(metrics, metricName, () => ({ metricName }));
      const value = event.metrics[metricName]!;
      named.push(metric);
      values.push(value);
      addToTally(dayRowOf(unit, event.unit_type, dayStartMs, metric), value);
    }
    for (const { experiment_id: experimentId, variant_id: variantId } of event.experiments) {
      const variants = getOrCreate(arms, experimentId, () => new Map<string, ArmState>());
      const armState = getOrCreate(variants, variantId, () => armStateOf({ experimentId, variantId }));
      const unitInArm = unitInArmOf(unit, armState);
      if ((isExposure || armState.isImplicit) && timeMs < unitInArm.exposedAtMs) unitInArm.exposedAtMs = timeMs;
      if (named.length > 0) {
        unitInArm.events.push(event);
        if (timeMs < unitInArm.measuredFromMs) unitInArm.measuredFromMs = timeMs;
      }
      for (let index = 0; index < named.length; index += 1) {
        const metric = named[index]!;
        const value = values[index]!;
        const { hours } = getOrCreate(armState.metrics, metric, () => ({ metric, hours: new Map() }));
        addToHour(getOrCreate(hours, hourStartMs, emptyHour), value, binOf(value));
      }
    }
  }

  const armsInOrder = [...arms.values()]
    .flatMap((variants) => [...variants.values()])
    .sort((a, b) => compareArms(a.arm, b.arm));
  const unitDays: UnitDailyRow[] = [];
  for (const { days, arms: armsOfUnit } of unitsInOrder) {
    if (days.length > 1) days.sort(compareDays);
    for (const row of days) unitDays.push(row);
    for (const entry of armsOfUnit) entry.armState.units.push(entry.unit);
  }
  return { ...windowRowsOf(armsInOrder), unitDays, unitsInArms: armsInOrder.flatMap((armState) => armState.units) };
}

function compareDays(a: UnitDailyRow, b: UnitDailyRow): number {
  return compareText(a.unitType, b.unitType) || compareText(a.metricName, b.metricName) || a.dayStartMs - b.dayStartMs;
}

function windowRowsOf(arms: readonly ArmState[]): { windows: WindowRow[]; bins: BinRow[] } {
  const windows: WindowRow[] = [];
  const bins: BinRow[] = [];
  for (const { arm, metrics } of arms) {
    const inOrder = [...metrics.values()].sort((a, b) => compareText(a.metric.metricName, b.metric.metricName));
    for (const { metric, hours } of inOrder) {
      const days = new Map<number, HourState>();
      for (const [hourStartMs, hour] of hours) {
        mergeIntoDay(getOrCreate(days, windowStartOf(hourStartMs, 'day'), emptyHour), hour);
      }
      for (const [granularity, states] of [
        ['day', days],
        ['hour', hours],
      ] as const) {
        for (const [windowStartMs, { bins: binCounts, ...moments }] of [...states].sort(([a], [b]) => a - b)) {
          const key = { arm, metricName: metric.metricName, granularity, windowStartMs };
          windows.push({ ...key, ...moments });
          for (const [bin, count] of [...binCounts].sort(([a], [b]) => a - b)) bins.push({ ...key, bin, count });
        }
      }
    }
  }
  return { windows, bins };
}
