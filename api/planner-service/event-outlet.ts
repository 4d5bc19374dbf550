// Events on their way to the ingestion service: in memory, in order, sent again while it is away, lost only loudly.
import { describeError } from '#platform/errors.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import type { EventBody, WorkloadPort } from '#producers/workload-client/workload-port.ts';

export type EventOutlet = {
  hasRoom(): boolean;
  /** Takes the events, also a few beyond the bound: whoever asked `hasRoom` before keeps its place. */
  offer(events: readonly EventBody[]): void;
  waiting(): number;
  /** Sends what waits, for as long as a stop may take; what remains is counted as lost. */
  [Symbol.asyncDispose](): Promise<void>;
};

const batchSize = 100;
/** A process that stops has 20 s in all. */
const drainMs = 10_000;

export function createEventOutlet(options: {
  /** Repeats a busy or absent service by itself, and throws when it gives up. */
  port: Pick<WorkloadPort, 'send'>;
  maxQueued: number;
  metrics: Metrics;
  log: Logger;
}): EventOutlet {
  const { port, maxQueued, metrics, log } = options;
  const queue: EventBody[] = [];
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
      await sendBatch(batch);
      queue.splice(0, batch.length);
    }
    sending = null;
  };

  return {
    hasRoom: () => queue.length < maxQueued,
    offer: (more) => {
      queue.push(...more);
      sending ??= sendAll();
    },
    waiting: () => queue.length,
    [Symbol.asyncDispose]: async () => {
      if (sending === null) return;
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, drainMs);
      await Promise.race([sending, late.promise]);
      clearTimeout(timer);
      if (queue.length === 0) return;
      events.inc({ outcome: 'lost' }, queue.length);
      log.error(
        { count: queue.length, ids: queue.map(({ event_id }) => event_id) },
        'events are lost: the process stops',
      );
    },
  };
}
