// Warnings that every request may give: each kind is logged once in a while, with how many there were since.
import type { Logger } from '#platform/telemetry/logger.ts';

/** Logs the first of a kind at once, and then at most one in so many ms; metrics count them all. */
const everyMs = 10_000;

/** `kind` must come from a bounded set: each is remembered. */
export function createSeldomLog(
  log: Pick<Logger, 'warn'>,
  nowMs: () => number,
): (kind: string, fields: object, message: string) => void {
  const kinds = new Map<string, { nextAtMs: number; unsaid: number }>();
  return (kind, fields, message) => {
    const known = kinds.get(kind);
    if (known !== undefined && nowMs() < known.nextAtMs) {
      known.unsaid += 1;
      return;
    }
    log.warn({ ...fields, unsaid: known?.unsaid ?? 0 }, message);
    kinds.set(kind, { nextAtMs: nowMs() + everyMs, unsaid: 0 });
  };
}
