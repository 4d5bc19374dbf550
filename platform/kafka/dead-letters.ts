// Publishes records that a group cannot use, with their original bytes and source position, to the dead-letter topic.
import type { RejectedRecord } from '#platform/kafka/record.ts';
import type { RecordProducer } from '#platform/kafka/record-producer.ts';
import type { DeadLetterRecord } from '#schemas/generated/records.ts';

export type DeadLetterPublisher = (rejected: readonly RejectedRecord[]) => Promise<void>;

/** Resolves when all are on Kafka with acks=all. Identity is group and source position, so a repeat is harmless. */
export function createDeadLetterPublisher(options: {
  producer: RecordProducer;
  topic: string;
  groupId: string;
  encode: (record: DeadLetterRecord) => Buffer;
  now: () => number;
}): DeadLetterPublisher {
  const { groupId } = options;
  return async (rejected) => {
    if (rejected.length === 0) return;
    const failedAt = options.now();
    await options.producer.send(
      options.topic,
      rejected.map(({ record, rejection }) => ({
        key: `${groupId}:${record.topic}:${record.partition}:${record.offset}`,
        value: options.encode({
          group_id: groupId,
          source_topic: record.topic,
          source_partition: record.partition,
          source_offset: Number(record.offset),
          source_timestamp: record.timestampMs,
          stage: rejection.stage,
          reason: rejection.reason,
          error: rejection.error,
          event_id: rejection.eventId ?? null,
          experiment_ids: [...(rejection.experimentIds ?? [])],
          key: record.key,
          value: record.value,
          headers: Object.entries(record.headers).map(([name, value]) => ({ name, value })),
          failed_at: failedAt,
        }),
      })),
    );
  };
}
