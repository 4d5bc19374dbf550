// What integration tests know about the local stack they run against.
import { inject } from 'vitest';
import type { StackEndpoints } from '#infra/local/components.ts';

export type StackConnection = { readonly localDir: string; readonly endpoints: StackEndpoints };

/** Addresses and credentials of the stack that the global setup found or started. */
export function stackEndpoints(): StackEndpoints {
  return stackConnection().endpoints;
}

export function stackConnection(): StackConnection {
  return inject('stack');
}
