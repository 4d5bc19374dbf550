// The options of a client with everything filled in that was left open.
import { createMemoryStore } from './sticky-store.ts';
import type { ClientErrorKind, ClientOptions, StickyStore } from './types.ts';

export type Settings = Omit<ClientOptions, 'stickyStore'> & {
  readonly timeoutMs: number;
  readonly stickyStore: StickyStore;
  readonly flushIntervalMs: number;
  readonly maxBatchEvents: number;
  readonly maxQueuedEvents: number;
  readonly nowMs: () => number;
  readonly fetch: typeof globalThis.fetch;
  readonly onError: (kind: ClientErrorKind, error: Error) => void;
};

export function fillIn(options: ClientOptions): Settings {
  return {
    timeoutMs: 3_000,
    stickyStore: createMemoryStore(),
    flushIntervalMs: 1_000,
    maxBatchEvents: 100,
    maxQueuedEvents: 10_000,
    nowMs: Date.now,
    // Called as a method of something else, the browser's own function refuses to work.
    fetch: (...request) => globalThis.fetch(...request),
    onError: (kind, error) => console.warn(`trialstream: ${kind}`, error),
    ...options,
  };
}

/** The address of a route below a base address, which may end in a slash. */
export function toUrl(base: string, path: string): string {
  return base.replace(/\/*$/, path);
}

export function toHeaders(apiKey: string | null | undefined): Record<string, string> {
  return apiKey ? { authorization: `Bearer ${apiKey}` } : {};
}
