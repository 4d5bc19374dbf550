// Decides which values of a unit count, given when it was first exposed; pure.
//
// A value counts when its event time is at or after the unit's first exposure to the variant. The first exposure only ever
// moves to an earlier time, so a value that counts once counts for ever, and a value that does not count yet is kept until
// an earlier exposure covers it. The set of counted values therefore depends on the set of events, not on their order.
import {
  type Arm,
  addToTally,
  compareArms,
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
  if (bound === undefined || unit.exposedAtMs < bound) return false;
  return unit.values.every((value) => value.eventTimeMs >= bound);
}

/** Values whose waiting ended: removed from exp.unit_pending_metrics, now to be counted. */
export type ReleasedRow = Tally & { readonly arm: Arm; readonly unitId: string; readonly metricName: string };

/** Splits the values of units by their first exposure into rows to add to unit_metrics and rows that must wait. */
export function splitByExposure(
  units: Iterable<{ unit: UnitInArm; firstExposedAtMs: ExposureBound }>,
  released: readonly ReleasedRow[],
): { counted: UnitMetricRow[]; pending: PendingRow[] } {
  const slices = new Map<Arm, Map<string, Map<string, UnitMetricRow>>>();
  const pending: PendingRow[] = [];
  const rowOf = (arm: Arm, metricName: string, unitId: string): UnitMetricRow => {
    const metrics = getOrCreate(slices, arm, () => new Map<string, Map<string, UnitMetricRow>>());
    const rows = getOrCreate(metrics, metricName, () => new Map<string, UnitMetricRow>());
    return getOrCreate(rows, unitId, () => ({ arm, unitId, metricName, ...emptyTally() }));
  };

  for (const { unit, firstExposedAtMs } of units) {
    for (const value of unit.values) {
      if (firstExposedAtMs !== undefined && value.eventTimeMs >= firstExposedAtMs) {
        addToTally(rowOf(unit.arm, value.metricName, unit.unitId), value.value);
      } else pending.push({ arm: unit.arm, unitId: unit.unitId, ...value });
    }
  }
  for (const { arm, unitId, metricName, count, sum, min, max } of released) {
    const row = rowOf(arm, metricName, unitId);
    row.count += count;
    row.sum += sum;
    row.min = Math.min(row.min, min);
    row.max = Math.max(row.max, max);
  }

  const counted: UnitMetricRow[] = [];
  for (const [, metrics] of [...slices].sort(([a], [b]) => compareArms(a, b))) {
    for (const [, rows] of [...metrics].sort(([a], [b]) => compareText(a, b))) {
      const ordered = [...rows.values()];
      // Units come in order; only released rows of other units disturb it.
      if (released.length > 0) ordered.sort((a, b) => compareText(a.unitId, b.unitId));
      for (const row of ordered) counted.push(row);
    }
  }
  return { counted, pending };
}
