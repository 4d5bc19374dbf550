// How long to wait before the next attempt: what the service said, else longer after each failure, never all clients at once.

const shortestMs = 500;
const longestMs = 60_000;

/** A pause in milliseconds; `attempt` counts from 0, `retryAfter` is the header, of which seconds are understood. */
export function retryDelayMs(attempt: number, retryAfter: string | null): number {
  return Math.min(Number(retryAfter) * 1_000 || shortestMs * 2 ** attempt, longestMs) * (1 + Math.random() / 2);
}
