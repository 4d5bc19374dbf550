// A fake of the store for unit tests: tables as maps, and the list of steps taken.
import { eventDateOf } from '#domain/event/parse-event.ts';
import type { Arm, PendingRow, Tally } from './aggregate-rows.ts';
import type { AggregateStore } from './aggregate-store.ts';
import { identityOf } from './transform.ts';

export type MemoryTables = {
  readonly claims: Set<string>;
  readonly firstExposures: Map<string, number>;
  readonly pending: Map<string, PendingRow>;
  readonly unitMetrics: Map<string, Tally>;
  readonly unitDays: Map<string, Tally>;
  readonly windows: Map<string, Tally & { mean: number; m2: number }>;
  readonly bins: Map<string, number>;
};

function addTally(table: Map<string, Tally>, key: string, row: Tally): void {
  const stored = table.get(key);
  if (stored === undefined) {
    table.set(key, { count: row.count, sum: row.sum, min: row.min, max: row.max });
    return;
  }
  stored.count += row.count;
  stored.sum += row.sum;
  stored.min = Math.min(stored.min, row.min);
  stored.max = Math.max(stored.max, row.max);
}

const keyOf = (...parts: (string | number)[]): string => parts.join(' ');
const unitKey = (row: { arm: Arm; unitId: string }): string =>
  keyOf(row.arm.experimentId, row.arm.variantId, row.unitId);

/** One transaction at a time, never rolled back. `actions` names each step with the number of rows given to it. */
export function createMemoryStore(): { store: AggregateStore; tables: MemoryTables; actions: string[] } {
  const tables: MemoryTables = {
    claims: new Set(),
    firstExposures: new Map(),
    pending: new Map(),
    unitMetrics: new Map(),
    unitDays: new Map(),
    windows: new Map(),
    bins: new Map(),
  };
  const actions: string[] = [];
  const log = (name: string, rows: readonly unknown[]): void => void actions.push(`${name} ${rows.length}`);

  const store: AggregateStore = {
    claimEvents: async (_tx, events) => {
      log('claim', events);
      const lost = new Set<string>();
      for (const identity of events.map(identityOf)) {
        if (tables.claims.has(identity)) lost.add(identity);
        tables.claims.add(identity);
      }
      return lost;
    },
    findFirstExposures: async (_tx, units) => {
      log('find first exposures', units);
      return units.map((unit) => tables.firstExposures.get(unitKey(unit)));
    },
    lowerFirstExposures: async (_tx, units) => {
      log('lower first exposures', units);
      return units.map((unit) => {
        const before = tables.firstExposures.get(unitKey(unit));
        const lowest = Math.min(before ?? Number.POSITIVE_INFINITY, unit.exposedAtMs);
        const now = Number.isFinite(lowest) ? lowest : undefined;
        if (now !== undefined) tables.firstExposures.set(unitKey(unit), now);
        return { before, now };
      });
    },
    releasePending: async (_tx, units) => {
      log('release pending', units);
      return units.flatMap((unit) => {
        const released: (Tally & { metricName: string })[] = [];
        for (const [key, row] of tables.pending) {
          if (unitKey(row) !== unitKey(unit) || row.eventTimeMs < unit.firstExposedAtMs) continue;
          tables.pending.delete(key);
          released.push({ metricName: row.metricName, count: 1, sum: row.value, min: row.value, max: row.value });
        }
        return released.map((row) => ({ arm: unit.arm, unitId: unit.unitId, ...row }));
      });
    },
    addPending: async (_tx, rows) => {
      log('add pending', rows);
      for (const row of rows) {
        const key = keyOf(unitKey(row), eventDateOf(row.eventTimeMs), row.eventId, row.metricName);
        if (tables.pending.has(key)) throw new Error(`the value ${key} waits already`);
        tables.pending.set(key, row);
      }
    },
    addUnitMetrics: async (_tx, rows) => {
      log('add unit metrics', rows);
      for (const row of rows) addTally(tables.unitMetrics, keyOf(unitKey(row), row.metricName), row);
    },
    addUnitDays: async (_tx, rows) => {
      log('add unit days', rows);
      for (const row of rows) {
        addTally(tables.unitDays, keyOf(row.unitType, row.unitId, row.metricName, row.dayStartMs), row);
      }
    },
    addWindows: async (_tx, rows) => {
      log('add windows', rows);
      for (const { arm, metricName, granularity, windowStartMs, ...row } of rows) {
        const key = keyOf(arm.experimentId, arm.variantId, metricName, granularity, windowStartMs);
        const stored = tables.windows.get(key);
        if (stored === undefined) {
          tables.windows.set(key, { ...row });
          continue;
        }
        const count = stored.count + row.count;
        const delta = row.mean - stored.mean;
        stored.m2 += row.m2 + delta * delta * ((stored.count * row.count) / count);
        stored.mean = (stored.sum + row.sum) / count;
        stored.count = count;
        stored.sum += row.sum;
        stored.min = Math.min(stored.min, row.min);
        stored.max = Math.max(stored.max, row.max);
      }
    },
    addBins: async (_tx, rows) => {
      log('add bins', rows);
      for (const row of rows) {
        const key = keyOf(
          row.arm.experimentId,
          row.arm.variantId,
          row.metricName,
          row.granularity,
          row.windowStartMs,
          row.bin,
        );
        tables.bins.set(key, (tables.bins.get(key) ?? 0) + row.count);
      }
    },
  };
  return { store, tables, actions };
}
