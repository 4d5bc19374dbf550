// The consumer port on kafkajs: eager rebalances, manual offsets, stale batches dropped, crashes reported.
import { createRequire } from 'node:module';
import type { Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs';
import type { ConsumerHandlers, ConsumerMember, ConsumerMemberOptions } from '#platform/kafka/consumer-port.ts';
import type { KafkaRecord } from '#platform/kafka/record.ts';

/** kafkajs has no static membership, so a member has no name. */
type KafkajsConsumerOptions = Omit<ConsumerMemberOptions, 'instanceId'> & { kafka: Kafka };

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

const require = createRequire(import.meta.url);
const murmur2 = require('kafkajs/src/producer/partitioners/default/murmur2.js') as (key: Buffer) => number;

/** Partition that Kafka's default partitioner gives a key: murmur2, made positive, modulo the count. */
export function partitionOfKey(key: Buffer, partitionCount: number): number {
  return (murmur2(key) & 0x7fffffff) % partitionCount;
}

/** A member of a consumer group on one topic. */
export function createKafkajsConsumer(options: KafkajsConsumerOptions): ConsumerMember {
  const { topic, sessionTimeoutMs: sessionTimeout } = options;
  const consumer: Consumer = options.kafka.consumer({
    groupId: options.groupId,
    sessionTimeout,
    rebalanceTimeout: 20_000,
    heartbeatInterval: Math.floor(sessionTimeout / 5),
    maxBytesPerPartition: options.maxBytesPerPartition ?? 512 * 1024,
    maxBytes: 4 * 1024 * 1024,
    // A resumed partition joins with the next fetch: a long wait on quiet partitions would hold it back.
    maxWaitTimeInMs: options.maxWaitTimeMs ?? 100,
    minBytes: 1,
    allowAutoTopicCreation: false,
    readUncommitted: false,
    metadataMaxAge: 60_000,
    retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 10 },
  });

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

  return {
    start: async (handlers) => {
      consumer.on(consumer.events.GROUP_JOIN, (event) => {
        const partitions = event.payload.memberAssignment[topic] ?? [];
        positions.clear();
        if (partitions.length > 0) consumer.pause([{ topic, partitions: [...partitions] }]);
        handlers.assigned(partitions);
      });
      // kafkajs passes over batches of control records and aborted transactions without a word.
      consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload }) => {
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
      consumer.on(consumer.events.REBALANCING, () => handlers.revoked());
      consumer.on(consumer.events.CRASH, (event) => {
        handlers.revoked();
        // With `restart` kafkajs starts the member again by itself; without it, it never comes back and says nothing more.
        if (!event.payload.restart) handlers.crashed(event.payload.error);
      });
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: 16,
        eachBatch: (payload) => deliver(handlers, payload),
      });
    },
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
      await consumer.stop();
      await consumer.disconnect();
    },
  };
}
