// Tells the webhook of every action, at least once: the receiver knows a repetition by its action_id.
import { describeError } from '#platform/errors.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import { type GuardrailActionSource, selectActions, toMessage } from './guardrail-outbox.ts';

const timeoutMs = 5_000;
/** An address that never answers must not be asked for ever about a stop that everybody knows by then. */
const longestTry = "interval '1 day'";

/** Delivers what has not been answered with 2xx yet; what fails is tried again at the next call. Returns how many were delivered. */
export async function deliverWebhooks(deps: {
  pool: Pool;
  url: string;
  log: Logger;
  fetch: typeof globalThis.fetch;
}): Promise<number> {
  const { pool, url, log } = deps;
  const { rows } = await pool.query<GuardrailActionSource>(
    `${selectActions} WHERE g.webhook_delivered_at IS NULL AND g.created_at > now() - ${longestTry} ORDER BY g.id LIMIT 20`,
  );
  let delivered = 0;
  for (const row of rows) {
    try {
      const answer = await deps.fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': row.action_id },
        body: JSON.stringify({ type: 'guardrail-stop', ...toMessage(row) }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      if (!answer.ok) throw new Error(`answered with ${answer.status}`);
      await pool.query('UPDATE exp.guardrail_actions SET webhook_delivered_at = now() WHERE id = $1', [row.id]);
      delivered += 1;
    } catch (error) {
      log.warn(
        { actionId: row.action_id, cause: describeError(error) },
        'the webhook was not told; it will be tried again',
      );
      return delivered;
    }
  }
  return delivered;
}
