// Limits how often each API key may ask: the port, and an implementation in memory of this process.

export type RateLimitDecision =
  | { readonly allowed: true }
  /** `retryAfterSeconds`: whole seconds until one more request would be allowed, at least 1. */
  | { readonly allowed: false; readonly retryAfterSeconds: number };

/** Shared between instances when its implementation is: that may be asynchronous, and must answer when what it asks is away. */
export type RateLimiter = {
  /** Counts one request of the caller, unless it is refused. */
  take(caller: string): RateLimitDecision | Promise<RateLimitDecision>;
};

export type RateLimitConfig = {
  /** Requests per second that a caller may make over time. */
  readonly requestsPerSecond: number;
  /** Requests that a caller may make at once after a pause. */
  readonly burst: number;
};

const maxCallers = 10_000;
const allowed: RateLimitDecision = { allowed: true };

/**
 * The generic cell rate algorithm (ITU-T I.371): per caller one number, the time at which its requests so far would be spread evenly.
 * Callers whose time has passed are forgotten when there are many.
 */
export function createInProcessRateLimiter(config: RateLimitConfig, nowMs: () => number): RateLimiter {
  const intervalMs = 1_000 / config.requestsPerSecond;
  const toleranceMs = intervalMs * (config.burst - 1);
  const dueMsByCaller = new Map<string, number>();

  const forgetIdle = (now: number): void => {
    for (const [caller, dueMs] of dueMsByCaller) if (dueMs <= now) dueMsByCaller.delete(caller);
  };

  return {
    take: (caller) => {
      const now = nowMs();
      const dueMs = Math.max(dueMsByCaller.get(caller) ?? now, now);
      const waitMs = dueMs - toleranceMs - now;
      if (waitMs > 0) return { allowed: false, retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1_000)) };
      if (dueMsByCaller.size >= maxCallers) forgetIdle(now);
      dueMsByCaller.set(caller, dueMs + intervalMs);
      return allowed;
    },
  };
}
