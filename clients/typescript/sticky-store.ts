// Sticky stores: in memory, where old entries are forgotten, and in the browser's localStorage.
import type { StickyStore } from './types.ts';

/** Keeps at most so many entries in memory, and at least the half of them set last. */
export function createMemoryStore(maxEntries = 10_000): StickyStore {
  let young = new Map<string, string>();
  let old = new Map<string, string>();
  return {
    get: (key) => young.get(key) ?? old.get(key),
    set: (key, value) => {
      // The older half goes whole: to take single entries from the front of a Map becomes slow.
      if (young.size >= maxEntries / 2) [old, young] = [young, new Map()];
      young.set(key, value);
    },
  };
}

/** Keeps entries in localStorage, under a prefix. */
export function createLocalStorageStore(prefix = 'trialstream:'): StickyStore {
  return {
    get: (key) => localStorage.getItem(prefix + key),
    set: (key, value) => localStorage.setItem(prefix + key, value),
  };
}
