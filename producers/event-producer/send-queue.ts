// Micro-batching: sends share produce requests, one request at a time, within bounds of count, bytes and waiting time.
import { RetryableError } from '#platform/errors.ts';
import type { OutgoingRecord } from '#platform/kafka/record-producer.ts';

export type QueueLimits = {
  /** Most records and bytes of one produce request. One partition may get all of them, so the broker's batch limit bounds the bytes. */
  readonly maxRequestRecords: number;
  readonly maxRequestBytes: number;
  /** Most records and bytes held at once, waiting or in flight. */
  readonly maxQueuedRecords: number;
  readonly maxQueuedBytes: number;
  /** Longest wait of a send from its call to its outcome, in ms. */
  readonly deliveryTimeoutMs: number;
};

export type QueuedRecord = OutgoingRecord & { readonly bytes: number };

/**
 * acknowledged: all in-sync replicas have the record. unknown: it was sent and not acknowledged, so it may be on the topic, now or
 * later. not-sent: it is not on the topic and never will be by this call.
 */
export type Delivery =
  | { readonly status: 'acknowledged' }
  | { readonly status: 'unknown' | 'not-sent'; readonly error: unknown };

export type QueueDepth = { readonly records: number; readonly bytes: number };

/** Nothing of the send was taken, because the queue is full or too slow; a later one may succeed. */
export class ProducerOverloadedError extends RetryableError {
  constructor(depth: QueueDepth, expectedWaitMs: number) {
    super(
      `the event producer's queue is full: ${depth.records} records, ${depth.bytes} bytes, expected wait ${Math.round(expectedWaitMs)} ms`,
      { code: 'dependency-unavailable' },
    );
  }
}

/**
 * Part of the delivery timeout that a send may be expected to wait. With a longer queue, what is written at last has just been given
 * up by its sender: everything is late, and nothing is acknowledged in time.
 */
const longestWaitRatio = 0.5;
/** Weight of the last request in the smoothed time of one. */
const smoothing = 0.3;

const acknowledged: Delivery = { status: 'acknowledged' };

/** Bytes that a record takes in a record batch beside its key and value: lengths, offset and timestamp deltas. */
const recordOverheadBytes = 32;

export function sizeOf(record: { key: string | Buffer; value: Buffer }): number {
  return Buffer.byteLength(record.key) + record.value.length + recordOverheadBytes;
}

/** One send: its records are taken in order, perhaps over several requests, and it settles when each has its outcome. */
type Send = {
  readonly records: readonly QueuedRecord[];
  taken: number;
  settledCount: number;
  readonly outcomes: Delivery[];
  readonly resolve: (outcomes: readonly Delivery[]) => void;
  timer: NodeJS.Timeout | undefined;
  settled: boolean;
};

type Slice = { readonly send: Send; readonly from: number; readonly to: number };

export type SendQueue = {
  /** One outcome per record, in order. @throws ProducerOverloadedError when the records do not fit or would wait too long. */
  add(records: readonly QueuedRecord[]): Promise<readonly Delivery[]>;
  depth(): QueueDepth;
  /** The request in flight takes longer than any send may wait. */
  isStuck(): boolean;
  /** Takes nothing more and resolves when all sends are settled and no request is in flight. */
  drain(): Promise<void>;
};

/**
 * States: idle (nothing waits), scheduled (records wait for the end of this turn of the event loop, so that all requests that
 * arrived together share one produce request), writing (one request in flight; records that arrive meanwhile go with the next).
 * Records leave in the order in which they were added, so one unit's events stay in order.
 */
export function createSendQueue(options: {
  write: (records: readonly OutgoingRecord[]) => Promise<void>;
  limits: QueueLimits;
}): SendQueue {
  const { write, limits } = options;
  const waiting = new Set<Send>();
  let heldRecords = 0;
  let heldBytes = 0;
  let state: 'idle' | 'scheduled' | 'writing' = 'idle';
  let closed = false;
  /** Smoothed time of one request, and when the one in flight began, in ms. */
  let requestMs = 0;
  let writingSinceMs = 0;
  let idle = Promise.withResolvers<void>();
  idle.resolve();

  const settle = (send: Send): void => {
    send.settled = true;
    clearTimeout(send.timer);
    send.resolve(send.outcomes);
  };

  const expire = (send: Send): void => {
    const error = new RetryableError(`Kafka did not acknowledge within ${limits.deliveryTimeoutMs} ms`, {
      code: 'deadline-exceeded',
    });
    for (let index = 0; index < send.records.length; index += 1) {
      send.outcomes[index] ??= { status: index < send.taken ? 'unknown' : 'not-sent', error };
    }
    if (waiting.delete(send)) {
      for (let index = send.taken; index < send.records.length; index += 1) {
        heldRecords -= 1;
        heldBytes -= send.records[index]!.bytes;
      }
    }
    settle(send);
  };

  /** Time until records that are added now would be written, as far as the last requests and the one in flight tell. */
  const expectedWaitMs = (records: number, bytes: number): number => {
    const requests = Math.max(
      Math.ceil((heldRecords + records) / limits.maxRequestRecords),
      Math.ceil((heldBytes + bytes) / limits.maxRequestBytes),
    );
    const inFlightMs = state === 'writing' ? performance.now() - writingSinceMs : 0;
    return requests * Math.max(requestMs, inFlightMs);
  };

  const takeRequest = (): { slices: Slice[]; records: OutgoingRecord[]; bytes: number } => {
    const slices: Slice[] = [];
    const records: OutgoingRecord[] = [];
    let bytes = 0;
    for (const send of waiting) {
      const from = send.taken;
      while (send.taken < send.records.length) {
        const record = send.records[send.taken]!;
        const full = records.length >= limits.maxRequestRecords || bytes + record.bytes > limits.maxRequestBytes;
        if (full && records.length > 0) break;
        records.push(record);
        bytes += record.bytes;
        send.taken += 1;
      }
      if (send.taken > from) slices.push({ send, from, to: send.taken });
      if (send.taken < send.records.length) break;
      waiting.delete(send);
    }
    return { slices, records, bytes };
  };

  const run = async (): Promise<void> => {
    state = 'writing';
    while (waiting.size > 0) {
      const request = takeRequest();
      let outcome = acknowledged;
      writingSinceMs = performance.now();
      try {
        await write(request.records);
      } catch (error) {
        outcome = { status: 'unknown', error };
      }
      requestMs += smoothing * (performance.now() - writingSinceMs - requestMs);
      heldRecords -= request.records.length;
      heldBytes -= request.bytes;
      for (const { send, from, to } of request.slices) {
        if (send.settled) continue;
        for (let index = from; index < to; index += 1) send.outcomes[index] = outcome;
        send.settledCount += to - from;
        if (send.settledCount === send.records.length) settle(send);
      }
    }
    state = 'idle';
    idle.resolve();
  };

  return {
    add: (records) => {
      if (records.length === 0) return Promise.resolve([]);
      let bytes = 0;
      for (const record of records) bytes += record.bytes;
      if (closed) {
        return Promise.reject(new RetryableError('the event producer is closed', { code: 'dependency-unavailable' }));
      }
      const isFull =
        heldRecords + records.length > limits.maxQueuedRecords || heldBytes + bytes > limits.maxQueuedBytes;
      // What is alone is always taken: it is how the queue learns that Kafka is quick again.
      const waitMs = heldRecords === 0 ? 0 : expectedWaitMs(records.length, bytes);
      if (isFull || waitMs > longestWaitRatio * limits.deliveryTimeoutMs) {
        return Promise.reject(new ProducerOverloadedError({ records: heldRecords, bytes: heldBytes }, waitMs));
      }
      heldRecords += records.length;
      heldBytes += bytes;
      return new Promise((resolve) => {
        const send: Send = {
          records,
          taken: 0,
          settledCount: 0,
          outcomes: new Array(records.length),
          resolve,
          timer: undefined,
          settled: false,
        };
        send.timer = setTimeout(expire, limits.deliveryTimeoutMs, send);
        waiting.add(send);
        if (state === 'idle') {
          state = 'scheduled';
          idle = Promise.withResolvers<void>();
          setImmediate(() => void run());
        }
      });
    },
    depth: () => ({ records: heldRecords, bytes: heldBytes }),
    isStuck: () => state === 'writing' && performance.now() - writingSinceMs > limits.deliveryTimeoutMs,
    drain: () => {
      closed = true;
      return idle.promise;
    },
  };
}
