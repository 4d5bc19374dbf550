// Reads a whole topic, from its start to where it ends now.
import { randomBytes } from 'node:crypto';
import type { Kafka } from '#platform/kafka/kafka-client.ts';

export type TopicRecord = {
  readonly partition: number;
  readonly offset: bigint;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestampMs: number;
};

/** Every record of the topic in partition and offset order. Holds them all: for compacted topics and checks, not for streams. */
export async function readTopic(kafka: Kafka, topic: string): Promise<TopicRecord[]> {
  const admin = kafka.admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic).finally(() => admin.disconnect());
  const ends = new Map(
    offsets.filter(({ high, low }) => high !== low).map(({ partition, high }) => [partition, BigInt(high)]),
  );
  const records: TopicRecord[] = [];
  if (ends.size === 0) return records;
  const groupId = `read-topic-${randomBytes(6).toString('hex')}`;
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100 });
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    const done = Promise.withResolvers<void>();
    // kafkajs starts over by itself after what passes, such as a coordinator that is still loading, and from the start again.
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) done.reject(payload.error);
    });
    const open = new Set(ends.keys());
    const nextOffsets = new Map<number, bigint>();
    const settle = (partition: number, nextOffset: bigint): void => {
      if (nextOffset >= (ends.get(partition) ?? 0n)) open.delete(partition);
      if (open.size === 0) done.resolve();
    };
    // Also told of batches without visible records: a compacted log may end with nothing but deleted ones.
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) =>
      settle(payload.partition, BigInt(payload.lastOffset) + 1n),
    );
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        const end = ends.get(batch.partition) ?? 0n;
        for (const message of batch.messages) {
          const offset = BigInt(message.offset);
          if (offset >= end) break;
          if (offset < (nextOffsets.get(batch.partition) ?? 0n)) continue;
          nextOffsets.set(batch.partition, offset + 1n);
          records.push({
            partition: batch.partition,
            offset,
            key: message.key,
            value: message.value,
            timestampMs: Number(message.timestamp),
          });
        }
      },
    });
    await done.promise;
  } finally {
    await consumer.disconnect();
  }
  await deleteGroup(kafka, groupId);
  return records.sort((a, b) => a.partition - b.partition || (a.offset < b.offset ? -1 : 1));
}

/** Without this, tools would list the group of every read for a week. */
async function deleteGroup(kafka: Kafka, groupId: string): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.deleteGroups([groupId]);
  } catch {
    // The coordinator may not have noticed yet that the member left; an empty group harms nobody.
  } finally {
    await admin.disconnect();
  }
}
