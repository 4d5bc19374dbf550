// Waiting for a condition in tests: polls until it holds or a deadline passes, never a fixed sleep.
import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves with the first value that is not undefined or false; fails with `what` and the last error after the deadline. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  options: { deadlineMs?: number; intervalMs?: number } = {},
): Promise<T> {
  const end = Date.now() + (options.deadlineMs ?? 30_000);
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited in vain for: ${what}`, { cause: last });
    await sleep(options.intervalMs ?? 50);
  }
}
