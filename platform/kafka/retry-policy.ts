// How long to wait before the same work is tried again.

export type RetryPolicy = { readonly firstDelayMs: number; readonly maxDelayMs: number };

export const defaultRetryPolicy: RetryPolicy = { firstDelayMs: 100, maxDelayMs: 5_000 };

/**
 * Delay in ms before attempt `attempt + 1` (attempts count from 1): doubles up to the maximum, then spread over its upper half so
 * that many waiting processes do not return at the same moment. `random` is in [0, 1).
 */
export function retryDelayMs(policy: RetryPolicy, attempt: number, random: number): number {
  const full = Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(full / 2 + (full / 2) * random);
}
