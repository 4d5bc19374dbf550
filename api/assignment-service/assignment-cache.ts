// Stored assignments that were read or written lately, so that a warm read needs no query. Rows are immutable, so only erasure removes.
import { type AssignmentKey, keyText, type StoredRow } from './assignment-store.ts';

export type AssignmentCache = {
  find(key: AssignmentKey): StoredRow | undefined;
  keep(stored: StoredRow): void;
  /** Forgets one assignment. A read that is under way may put it back: whoever erases forgets again after its commit. */
  forget(key: AssignmentKey): void;
  /** Forgets everything: for whoever cannot know what was erased. */
  clear(): void;
  size(): number;
};

/**
 * Holds at most `maxEntries`, and at least the half of them used last: two generations, of which the older one is dropped whole when
 * the younger one is full. This costs one map operation per read, where an exact order of use would cost two writes.
 */
export function createAssignmentCache(maxEntries: number): AssignmentCache {
  const generationSize = Math.max(1, Math.floor(maxEntries / 2));
  let young = new Map<string, StoredRow>();
  let old = new Map<string, StoredRow>();
  const put = (key: string, stored: StoredRow): void => {
    if (young.size >= generationSize) {
      old = young;
      young = new Map();
    }
    young.set(key, stored);
  };
  return {
    find: (assignmentKey) => {
      const key = keyText(assignmentKey);
      const recent = young.get(key);
      if (recent !== undefined) return recent;
      const earlier = old.get(key);
      if (earlier !== undefined) {
        old.delete(key);
        put(key, earlier);
      }
      return earlier;
    },
    keep: (stored) => {
      const key = keyText(stored);
      if (young.has(key)) return;
      old.delete(key);
      put(key, stored);
    },
    forget: (assignmentKey) => {
      const key = keyText(assignmentKey);
      young.delete(key);
      old.delete(key);
    },
    clear: () => {
      young = new Map();
      old = new Map();
    },
    size: () => young.size + old.size,
  };
}
