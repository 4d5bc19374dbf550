// The port to the tables of the group: each method is one step of the transaction, in the order in which the sink takes them.
import type { PoolClient } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import type { Arm, BinRow, PendingRow, UnitDailyRow, UnitInArm, UnitMetricRow, WindowRow } from './aggregate-rows.ts';
import type { ExposureBound, ReleasedRow } from './first-exposure.ts';

export type UnitKey = { readonly arm: Arm; readonly unitId: string };

/** Rows are given sorted and without two rows of one key; every member gives them in the same order. */
export type AggregateStore<Tx = PoolClient> = {
  /** Claims the events for the group and returns the identities (event_id and UTC day) that were claimed before. */
  claimEvents(tx: Tx, events: readonly EventRecord[]): Promise<Set<string>>;
  /** Committed first exposures, in the order asked for; takes no lock. */
  findFirstExposures(tx: Tx, units: readonly UnitKey[]): Promise<ExposureBound[]>;
  /**
   * Locks the units until the transaction ends, also those without a first exposure, lowers each first exposure to
   * `exposedAtMs` where that is earlier, and returns what it was and what it is now.
   */
  lowerFirstExposures(tx: Tx, units: readonly UnitInArm[]): Promise<{ before: ExposureBound; now: ExposureBound }[]>;
  /** Removes waiting values at or after the first exposure of locked units, and returns them summed up. */
  releasePending(tx: Tx, units: readonly (UnitKey & { readonly firstExposedAtMs: number })[]): Promise<ReleasedRow[]>;
  addPending(tx: Tx, rows: readonly PendingRow[]): Promise<void>;
  addUnitMetrics(tx: Tx, rows: readonly UnitMetricRow[]): Promise<void>;
  addUnitDays(tx: Tx, rows: readonly UnitDailyRow[]): Promise<void>;
  addWindows(tx: Tx, rows: readonly WindowRow[]): Promise<void>;
  addBins(tx: Tx, rows: readonly BinRow[]): Promise<void>;
};
