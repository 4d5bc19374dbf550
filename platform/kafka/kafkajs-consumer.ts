// The consumer port on kafkajs: eager rebalances, manual offsets, stale batches dropped, crashes that pass survived and others reported.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs';
import type { ConsumerHandlers, ConsumerMember, ConsumerMemberOptions } from '#platform/kafka/consumer-port.ts';
import type { KafkaRecord } from '#platform/kafka/record.ts';

/** kafkajs has no static membership, so a member has no name. */
type KafkajsConsumerOptions = Omit<ConsumerMemberOptions, 'instanceId'> & { kafka: Kafka };

/** How much one fetch brings; benchmarks read with the same settings. */
export const fetchSettings = {
  maxBytesPerPartition: 512 * 1024,
  maxBytes: 4 * 1024 * 1024,
  // A resumed partition joins with the next fetch: a long wait on quiet partitions would hold it back.
  maxWaitTimeInMs: 100,
  minBytes: 1,
} as const;

const noHeaders: Readonly<Record<string, Buffer>> = Object.freeze({});

function toHeaders(headers: KafkaMessage['headers']): Readonly<Record<string, Buffer>> {
  if (headers === undefined) return noHeaders;
  let result: Record<string, Buffer> | undefined;
  for (const name in headers) {
    const value = headers[name];
    const last = Array.isArray(value) ? value[value.length - 1] : value;
    // The types do not say that a header may be null.
    if (last === undefined || last === null) continue;
    result ??= {};
    result[name] = Buffer.isBuffer(last) ? last : Buffer.from(last);
  }
  return result ?? noHeaders;
}

function toRecords(topic: string, partition: number, messages: readonly KafkaMessage[]): KafkaRecord[] {
  return messages.map((message) => ({
    topic,
    partition,
    offset: BigInt(message.offset),
    key: message.key,
    value: message.value,
    headers: toHeaders(message.headers),
    timestampMs: Number(message.timestamp),
  }));
}

/** Names of kafkajs errors that say something of the network or of a broker that is about to come back. */
const passingErrors = new Set([
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSBrokerNotFound',
  'KafkaJSNoBrokerAvailableError',
  'KafkaJSGroupCoordinatorNotFound',
  'KafkaJSMetadataNotLoaded',
]);

/** Whether a new consumer may get further than the crashed one. Some of these kafkajs calls final, and one is not even an error of its own. */
function mayPass(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { name, message, cause } = error;
  if (passingErrors.has(name) || message === 'Broker not connected') return true;
  if ((error as { retriable?: unknown }).retriable === true) return true;
  // A broker that went away in the middle of the handshake is no refusal.
  if (name === 'KafkaJSSASLAuthenticationError' && /Not connected|Closed connection|timed out|timeout/.test(message))
    return true;
  return cause !== undefined && cause !== error && mayPass(cause);
}

const maxBackoffMs = 2_000;

/** A member of a consumer group on one topic. */
export function createKafkajsConsumer(options: KafkajsConsumerOptions): ConsumerMember {
  const { topic, sessionTimeoutMs: sessionTimeout } = options;
  const createConsumer = (): Consumer =>
    options.kafka.consumer({
      groupId: options.groupId,
      sessionTimeout,
      rebalanceTimeout: 20_000,
      heartbeatInterval: Math.floor(sessionTimeout / 5),
      ...fetchSettings,
      maxBytesPerPartition: options.maxBytesPerPartition ?? fetchSettings.maxBytesPerPartition,
      maxWaitTimeInMs: options.maxWaitTimeMs ?? fetchSettings.maxWaitTimeInMs,
      allowAutoTopicCreation: false,
      readUncommitted: false,
      metadataMaxAge: 60_000,
      retry: { initialRetryTime: 100, maxRetryTime: maxBackoffMs, retries: 10 },
    });
  let consumer = createConsumer();
  let recovery: Promise<void> | undefined;
  /** A consumer crashed while recovery was under way, perhaps the very one that it started. */
  let crashedAgain = false;
  let stopped = false;

  /** Where each partition continues: to tell whether a batch that kafkajs does not deliver is the next one or a stale one. */
  const positions = new Map<number, bigint>();

  const deliver = async (handlers: ConsumerHandlers, payload: EachBatchPayload): Promise<void> => {
    const { batch } = payload;
    if (!payload.isRunning() || payload.isStale()) return;
    const messages = batch.messages;
    const last = messages[messages.length - 1];
    if (last === undefined) return;
    const nextOffset = BigInt(batch.lastOffset()) + 1n;
    positions.set(batch.partition, nextOffset);
    await handlers.fetched({
      partition: batch.partition,
      fetchedFrom: BigInt((batch as unknown as { fetchedOffset: string | number }).fetchedOffset),
      records: toRecords(topic, batch.partition, messages),
      nextOffset,
      highWatermark: BigInt(batch.highWatermark),
    });
    // Also moves over trailing control records when the last visible record is resolved.
    payload.resolveOffset(last.offset);
    await payload.heartbeat();
  };

  const run = async (started: Consumer, handlers: ConsumerHandlers): Promise<void> => {
    const { events } = started;
    const isCurrent = (): boolean => started === consumer && !stopped;
    started.on(events.GROUP_JOIN, (event) => {
      if (!isCurrent()) return;
      const partitions = event.payload.memberAssignment[topic] ?? [];
      positions.clear();
      if (partitions.length > 0) started.pause([{ topic, partitions: [...partitions] }]);
      handlers.assigned(partitions);
    });
    // kafkajs passes over batches of control records and aborted transactions without a word.
    started.on(events.START_BATCH_PROCESS, ({ payload }) => {
      const { partition, batchSize, firstOffset, lastOffset, highWatermark } = payload;
      const position = positions.get(partition);
      if (batchSize > 0 || position === undefined || firstOffset === null || BigInt(firstOffset) !== position) return;
      const nextOffset = BigInt(lastOffset) + 1n;
      positions.set(partition, nextOffset);
      handlers
        .fetched({
          partition,
          fetchedFrom: position,
          records: [],
          nextOffset,
          highWatermark: BigInt(highWatermark),
        })
        .catch(handlers.crashed);
    });
    started.on(events.REBALANCING, () => {
      if (isCurrent()) handlers.revoked();
    });
    started.on(events.CRASH, ({ payload }) => {
      if (!isCurrent()) return;
      handlers.revoked();
      // With `restart` kafkajs starts the member again by itself; without it, it never comes back and says nothing more.
      if (payload.restart) return;
      if (mayPass(payload.error)) recover(handlers);
      else handlers.crashed(payload.error);
    });
    await started.connect();
    await started.subscribe({ topic, fromBeginning: true });
    await started.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: 16,
      eachBatch: (payload) => deliver(handlers, payload),
    });
  };

  const recover = (handlers: ConsumerHandlers): void => {
    if (recovery !== undefined) {
      crashedAgain = true;
      return;
    }
    recovery = (async () => {
      for (let attempt = 1; !stopped; attempt += 1) {
        await consumer.disconnect().catch(() => undefined);
        await sleep(Math.min(maxBackoffMs, 100 * 2 ** Math.min(attempt, 10)));
        if (stopped) return;
        crashedAgain = false;
        consumer = createConsumer();
        try {
          await run(consumer, handlers);
          if (!crashedAgain) return;
        } catch (error) {
          if (!mayPass(error)) {
            handlers.crashed(error);
            return;
          }
        }
      }
    })().finally(() => {
      recovery = undefined;
      if (crashedAgain && !stopped) recover(handlers);
    });
  };

  return {
    start: (handlers) => run(consumer, handlers),
    seek: (partition, offset) => {
      positions.set(partition, offset);
      consumer.seek({ topic, partition, offset: offset.toString() });
    },
    pause: (partition) => consumer.pause([{ topic, partitions: [partition] }]),
    resume: (partition) => consumer.resume([{ topic, partitions: [partition] }]),
    commit: async (offsets) => {
      await consumer.commitOffsets(
        [...offsets].map(([partition, offset]) => ({ topic, partition, offset: offset.toString() })),
      );
    },
    stop: async () => {
      stopped = true;
      await recovery;
      await consumer.stop();
      await consumer.disconnect();
    },
  };
}
