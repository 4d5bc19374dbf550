// A fake of the event producer's port: keeps what it was given, and fails, stalls or refuses when told to.
import { RetryableError } from '#platform/errors.ts';
import {
  createEventEncoder,
  type EncodedEvent,
  type EventProducer,
  encodeAll,
} from '#producers/event-producer/event-producer.ts';
import { createSendQueue, type QueueLimits } from '#producers/event-producer/send-queue.ts';

export type FakeEventProducer = EventProducer & {
  /** What was acknowledged, in order; one inner list per produce request. */
  readonly requests: EncodedEvent[][];
  /** away: requests fail at once. stalled: they stay unanswered until the next change. */
  become(state: 'available' | 'away' | 'stalled'): void;
};

/** It has the same bounds and the same timeouts as the real one, and no network. */
export function createFakeEventProducer(
  options: {
    limits?: Partial<QueueLimits>;
    eventTime?: { earliestMs: number; maxAheadMs: number };
    now?: () => number;
  } = {},
): FakeEventProducer {
  const requests: EncodedEvent[][] = [];
  let state: 'available' | 'away' | 'stalled' = 'available';
  let failing = false;
  let changed = Promise.withResolvers<void>();
  const queue = createSendQueue({
    limits: {
      maxRequestRecords: 2_000,
      maxRequestBytes: 1_000_000,
      maxQueuedRecords: 50_000,
      maxQueuedBytes: 33_554_432,
      deliveryTimeoutMs: 1_000,
      ...options.limits,
    },
    write: async (batch) => {
      while (state === 'stalled') await changed.promise;
      failing = state === 'away';
      if (failing) throw new RetryableError('the fake is away', { code: 'dependency-unavailable' });
      requests.push([...batch] as EncodedEvent[]);
    },
  });
  const encode = createEventEncoder({
    schemaId: 1,
    eventTime: options.eventTime ?? { earliestMs: Date.UTC(2015, 0, 1), maxAheadMs: 3_600_000 },
    now: options.now ?? Date.now,
  });
  return {
    requests,
    become: (next) => {
      state = next;
      changed.resolve();
      changed = Promise.withResolvers<void>();
    },
    encode,
    sendEach: (batch) => queue.add(batch),
    send: async (events) => {
      const deliveries = await queue.add(encodeAll(events, encode));
      const failed = deliveries.find((delivery) => delivery.status !== 'acknowledged');
      if (failed !== undefined) throw failed.error;
    },
    depth: () => queue.depth(),
    isFailing: () => failing,
    [Symbol.asyncDispose]: async () => {
      changed.resolve();
      state = state === 'stalled' ? 'away' : state;
      await queue.drain();
    },
  };
}
