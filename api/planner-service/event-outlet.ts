// Events on their way to the ingestion service: in memory, in order, sent again while it is away, lost only loudly.
import { describeError } from '#platform/errors.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import type { EventBody, WorkloadPort } from '#producers/workload-client/workload-port.ts';

export type EventOutlet = {
  hasRoom(): boolean;
  /** Takes the events, also a few beyond the bound: whoever asked `hasRoom` before keeps its place. */
  offer(events: readonly EventBody[]): void;
  waiting(): { readonly events: number; readonly bytes: number };
  /** Whether what is being sent has found nobody for so long that the service must be away. */
  isStuck(): boolean;
  /** Sends what waits, for as long as a stop may take; what remains is counted as lost. */
  [Symbol.asyncDispose](): Promise<void>;
};

const batchSize = 100;
/** A process that stops has 20 s in all. */
const drainMs = 10_000;
/** A batch that takes longer is being sent again. */
const stuckMs = 5_000;

export function createEventOutlet(options: {
  /** Repeats a busy or absent service by itself, and throws when it gives up. */
  port: Pick<WorkloadPort, 'send'>;
  maxQueued: number;
  maxQueuedBytes: number;
  nowMs: () => number;
  metrics: Metrics;
  log: Logger;
}): EventOutlet {
  const { port, maxQueued, maxQueuedBytes, nowMs, metrics, log } = options;
  const queue: { readonly event: EventBody; readonly bytes: number }[] = [];
  let bytes = 0;
  let batchStartedAt: number | null = null;
  let sending: Promise<void> | null = null;
  const events = metrics.counter('planner_events_total', 'Events about plans by what became of them', ['outcome']);
  for (const outcome of ['accepted', 'rejected', 'lost']) events.inc({ outcome }, 0);

  const sendBatch = async (batch: readonly EventBody[]): Promise<void> => {
    try {
      const outcomes = await port.send(batch);
      const rejected = outcomes.filter((outcome) => outcome.status === 'rejected');
      events.inc({ outcome: 'accepted' }, outcomes.length - rejected.length);
      events.inc({ outcome: 'rejected' }, rejected.length);
      if (rejected.length > 0) log.error({ count: rejected.length, first: rejected[0] }, 'events were refused');
    } catch (error) {
      events.inc({ outcome: 'lost' }, batch.length);
      const ids = batch.map(({ event_id }) => event_id);
      log.error(
        { count: batch.length, ids, cause: describeError(error) },
        'events are lost: the ingestion service did not take them',
      );
    }
  };
  const sendAll = async (): Promise<void> => {
    // Taken out after they are sent, so that the bound counts them.
    while (queue.length > 0) {
      const batch = queue.slice(0, batchSize);
      batchStartedAt = nowMs();
      await sendBatch(batch.map(({ event }) => event));
      queue.splice(0, batch.length);
      bytes -= batch.reduce((sum, sent) => sum + sent.bytes, 0);
    }
    batchStartedAt = null;
    sending = null;
  };

  return {
    hasRoom: () => queue.length < maxQueued && bytes < maxQueuedBytes,
    offer: (more) => {
      for (const event of more) {
        const size = Buffer.byteLength(JSON.stringify(event));
        queue.push({ event, bytes: size });
        bytes += size;
      }
      sending ??= sendAll();
    },
    waiting: () => ({ events: queue.length, bytes }),
    isStuck: () => batchStartedAt !== null && nowMs() - batchStartedAt > stuckMs,
    [Symbol.asyncDispose]: async () => {
      if (sending === null) return;
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, drainMs);
      await Promise.race([sending, late.promise]);
      clearTimeout(timer);
      if (queue.length === 0) return;
      events.inc({ outcome: 'lost' }, queue.length);
      log.error(
        { count: queue.length, ids: queue.map(({ event }) => event.event_id) },
        'events are lost: the process stops',
      );
    },
  };
}
