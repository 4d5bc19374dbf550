// Decides which values of a unit count, given when it was first exposed; pure.
//
// A value counts when its event time is at or after the unit's first exposure to the variant. The first exposure only ever
// moves to an earlier time, so a value that counts once counts for ever, and a value that does not count yet is kept until
// an earlier exposure covers it. The set of counted values therefore depends on the set of events, not on their order.
import {
  type Arm,
  addToTally,
  compareText,
  emptyTally,
  getOrCreate,
  type PendingRow,
  type Tally,
  type UnitInArm,
  type UnitMetricRow,
} from './aggregate-rows.ts';

/** An upper bound of a unit's first exposure; undefined when no exposure is known. */
export type ExposureBound = number | undefined;

/**
 * True when the bound alone decides everything about the unit: all its values count and no exposure is earlier. Such a unit
 * needs no lock, because the true first exposure is at or before the bound and can only move away from the values.
 */
export function isSettledBy(bound: ExposureBound, unit: UnitInArm): boolean {
  return bound !== undefined && unit.exposedAtMs >= bound && unit.measuredFromMs >= bound;
}

/** Values whose waiting ended: removed from exp.unit_pending_metrics, now to be counted. */
export type ReleasedRow = Tally & { readonly arm: Arm; readonly unitId: string; readonly metricName: string };

/**
 * Splits the values of units by their first exposure into rows to add to unit_metrics and rows that must wait. Released values
 * belong to units of the list. Rows keep the order of the units, and are sorted by metric within a unit.
 */
export function splitByExposure(
  units: Iterable<{ unit: UnitInArm; firstExposedAtMs: ExposureBound }>,
  released: readonly ReleasedRow[],
): { counted: UnitMetricRow[]; pending: PendingRow[] } {
  const counted: UnitMetricRow[] = [];
  const pending: PendingRow[] = [];
  const releasedByArm = new Map<Arm, Map<string, ReleasedRow[]>>();
  for (const row of released) {
    const byUnit = getOrCreate(releasedByArm, row.arm, () => new Map<string, ReleasedRow[]>());
    getOrCreate(byUnit, row.unitId, () => []).push(row);
  }
  for (const { unit, firstExposedAtMs } of units) {
    const { arm, unitId } = unit;
    const firstRow = counted.length;
    // A unit has few metrics: looking through its rows costs less than a key for each.
    const rowOf = (metricName: string): UnitMetricRow => {
      for (let index = firstRow; index < counted.length; index += 1) {
        const row = counted[index]!;
        if (row.metricName === metricName) return row;
      }
      const row: UnitMetricRow = { arm, unitId, metricName, ...emptyTally() };
      counted.push(row);
      return row;
    };
    for (const { event_id: eventId, event_time: eventTimeMs, metrics } of unit.events) {
      const counts = firstExposedAtMs !== undefined && eventTimeMs >= firstExposedAtMs;
      for (const metricName in metrics) {
        const value = metrics[metricName]!;
        if (counts) addToTally(rowOf(metricName), value);
        else pending.push({ arm, unitId, eventId, eventTimeMs, metricName, value });
      }
    }
    for (const { metricName, count, sum, min, max } of releasedByArm.get(arm)?.get(unitId) ?? []) {
      const row = rowOf(metricName);
      row.count += count;
      row.sum += sum;
      row.min = Math.min(row.min, min);
      row.max = Math.max(row.max, max);
    }
    if (counted.length - firstRow > 1) sortFrom(counted, firstRow);
  }
  return { counted, pending };
}

/** Sorts the rows of one unit, which are the last ones, by metric; most events name their metrics in order. */
function sortFrom(rows: UnitMetricRow[], first: number): void {
  for (let index = first + 1; index < rows.length; index += 1) {
    if (rows[index - 1]!.metricName <= rows[index]!.metricName) continue;
    const sorted = rows.splice(first).sort((a, b) => compareText(a.metricName, b.metricName));
    for (const row of sorted) rows.push(row);
    return;
  }
}
