// Follows a topic from its start for as long as a process lives: every instance sees every record, and no position is kept anywhere.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '#platform/errors.ts';
import type { Kafka } from '#platform/kafka/kafka-client.ts';
import { createKafkajsConsumer } from '#platform/kafka/kafkajs-consumer.ts';
import type { KafkaRecord } from '#platform/kafka/record.ts';
import type { Logger } from '#platform/telemetry/logger.ts';

const retryMs = 1_000;
/** A member that cannot say goodbye, because Kafka is away, is not waited for any longer. */
const goodbyeMs = 2_000;

/**
 * Starts at once and never fails: while Kafka is away it tries again every second, and goes on where it was. States: *connecting*,
 * *following*, *waiting* after a failure, *stopped*. Records come in the order of their partition; a rejection by `onRecords` is a
 * failure like any other, after which the same records come again. For small topics, such as compacted ones.
 */
export function followTopic(options: {
  kafka: Kafka;
  topic: string;
  onRecords: (records: readonly KafkaRecord[]) => Promise<void>;
  log: Logger;
}): AsyncDisposable {
  const { kafka, topic, log } = options;
  const stop = new AbortController();
  const stopped = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()));
  /** Where each partition goes on. */
  const nextOffsets = new Map<number, bigint>();
  // A group of its own, in which nothing is ever committed; Kafka forgets it when it is empty.
  const groupId = `follow-${topic}-${randomBytes(6).toString('hex')}`;
  let isFailing = false;

  const followUntilFailure = async (): Promise<void> => {
    const member = createKafkajsConsumer({ kafka, groupId, topic, sessionTimeoutMs: 30_000 });
    const failed = Promise.withResolvers<void>();
    try {
      const started = member.start({
        assigned: (partitions) => {
          for (const partition of partitions) {
            member.seek(partition, nextOffsets.get(partition) ?? 0n);
            member.resume(partition);
          }
          if (isFailing) log.info({ topic }, 'a topic is followed again');
          isFailing = false;
        },
        revoked: () => undefined,
        fetched: async ({ partition, records, nextOffset }) => {
          await options.onRecords(records);
          nextOffsets.set(partition, nextOffset);
        },
        crashed: failed.reject,
      });
      await Promise.race([Promise.all([started, failed.promise]), stopped]);
    } finally {
      const goodbye = member.stop().catch(() => undefined);
      await Promise.race([goodbye, sleep(goodbyeMs, undefined, { ref: false })]);
    }
  };
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        await followUntilFailure();
      } catch (error) {
        if (!isFailing) log.warn({ topic, cause: describeError(error) }, 'a topic cannot be followed at the moment');
        isFailing = true;
        await sleep(retryMs, undefined, { signal: stop.signal }).catch(() => undefined);
      }
    }
  };
  const running = run();
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}
