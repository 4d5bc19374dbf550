// Visits the records of a topic within offset bounds, one after the other, without holding them.
import { randomBytes } from 'node:crypto';
import type { Kafka } from 'kafkajs';
import { RetryableError } from '#platform/errors.ts';
import { createKafkajsConsumer } from '#platform/kafka/kafkajs-consumer.ts';
import type { KafkaRecord } from '#platform/kafka/record.ts';

/** Offsets of one partition: from inclusive, to exclusive. */
export type OffsetSpan = { readonly from: bigint; readonly to: bigint };

/** What a topic holds now, by partition; with `fromMs` only records appended at or after that time. */
export async function findSpans(
  kafka: Kafka,
  topic: string,
  options: { fromMs?: number } = {},
): Promise<Map<number, OffsetSpan>> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const ends = await admin.fetchTopicOffsets(topic);
    const starts =
      options.fromMs === undefined ? null : await admin.fetchTopicOffsetsByTimestamp(topic, options.fromMs);
    const startOf = new Map(starts?.map(({ partition, offset }) => [partition, BigInt(offset)]));
    return new Map(
      ends.map(({ partition, low, high }) => {
        // kafkajs answers the end of the partition (or -1) when no record is that young.
        const start = startOf.get(partition) ?? BigInt(low);
        return [partition, { from: start < 0n ? BigInt(high) : start, to: BigInt(high) }] as const;
      }),
    );
  } finally {
    await admin.disconnect();
  }
}

/**
 * Visits every record of the spans, in order within a partition. A visit that takes long holds the scan back.
 * @throws RetryableError when nothing comes for `stallMs` (default 30 s).
 */
export async function scanTopic(options: {
  kafka: Kafka;
  topic: string;
  spans: ReadonlyMap<number, OffsetSpan>;
  visit: (record: KafkaRecord) => void | Promise<void>;
  stallMs?: number;
}): Promise<void> {
  const { kafka, topic, visit } = options;
  const open = new Map([...options.spans].filter(([, { from, to }]) => from < to));
  if (open.size === 0) return;
  const groupId = `scan-topic-${randomBytes(6).toString('hex')}`;
  const member = createKafkajsConsumer({ kafka, groupId, topic, sessionTimeoutMs: 10_000 });
  const done = Promise.withResolvers<void>();
  const stallMs = options.stallMs ?? 30_000;
  let stall: NodeJS.Timeout | undefined;
  const progressed = (): void => {
    clearTimeout(stall);
    stall = setTimeout(
      () =>
        done.reject(
          new RetryableError(`reading ${topic}: nothing came for ${stallMs / 1000} s`, { code: 'deadline-exceeded' }),
        ),
      stallMs,
    );
  };
  progressed();
  try {
    await member.start({
      assigned: (partitions) => {
        for (const partition of partitions) {
          const span = open.get(partition);
          if (span === undefined) continue;
          member.seek(partition, span.from);
          member.resume(partition);
        }
      },
      revoked: () => undefined,
      fetched: async ({ partition, records, nextOffset }) => {
        const span = open.get(partition);
        if (span === undefined) return;
        try {
          for (const record of records) {
            if (record.offset >= span.from && record.offset < span.to) await visit(record);
          }
        } catch (error) {
          done.reject(error);
          return;
        }
        progressed();
        if (nextOffset < span.to) {
          // After a rebalance the scan goes on from here.
          open.set(partition, { from: nextOffset, to: span.to });
          return;
        }
        open.delete(partition);
        member.pause(partition);
        if (open.size === 0) done.resolve();
      },
      crashed: (error) => done.reject(error),
    });
    await done.promise;
  } finally {
    clearTimeout(stall);
    await member.stop();
  }
  await deleteGroup(kafka, groupId);
}

/** Without this, tools would list the group of every scan for a week. */
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
