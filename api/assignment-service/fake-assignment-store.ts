// Stored assignments in memory, with the same contract as the Postgres store.
import { type AssignmentStore, keyText, type StoredRow } from './assignment-store.ts';

export type FakeAssignmentStore = AssignmentStore & {
  readonly rows: Map<string, StoredRow>;
  /** Every call with the number of its keys, in order. */
  readonly calls: string[];
};

export function createFakeAssignmentStore(): FakeAssignmentStore {
  const rows = new Map<string, StoredRow>();
  const calls: string[] = [];
  return {
    rows,
    calls,
    storeFirst: async (candidates) => {
      if (candidates.length > 0) calls.push(`store ${candidates.length}`);
      return candidates.map((candidate) => {
        const { unitType: _unitType, assignedAt: _assignedAt, ...row } = candidate;
        const key = keyText(candidate);
        const existing = rows.get(key);
        if (existing !== undefined) return { stored: existing, isNew: false };
        rows.set(key, row);
        return { stored: row, isNew: true };
      });
    },
    find: async (keys) => {
      if (keys.length > 0) calls.push(`find ${keys.length}`);
      return keys.map((key) => rows.get(keyText(key)) ?? null);
    },
  };
}
