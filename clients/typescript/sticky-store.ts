// Sticky stores: in memory, the oldest entries first out, and in the browser's localStorage.
import type { StickyStore } from './types.ts';

/** Keeps the last entries in memory. */
export function createMemoryStore(maxEntries = 10_000): StickyStore {
  const entries = new Map<string, string>();
  return {
    get: (key) => entries.get(key),
    set: (key, value) => {
      entries.delete(key);
      entries.set(key, value);
      if (entries.size > maxEntries) entries.delete(entries.keys().next().value ?? '');
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
