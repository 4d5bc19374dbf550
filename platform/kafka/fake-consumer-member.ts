// A fake of the consumer port for tests: the test plays Kafka, the log tells what the runner asked of it.
import type { ConsumerHandlers, ConsumerMember } from '#platform/kafka/consumer-port.ts';
import type { KafkaRecord } from '#platform/kafka/record.ts';

export type FakeConsumerMember = ConsumerMember & {
  readonly handlers: ConsumerHandlers;
  /** Where the next fetch of a partition starts, after the last seek or delivery. */
  position(partition: number): bigint;
  isPaused(partition: number): boolean;
  /** Delivers as many records as given from the partition's position on, as Kafka would when it is not paused. */
  deliver(
    partition: number,
    values: readonly string[],
    options?: { gap?: bigint; highWatermark?: bigint },
  ): Promise<void>;
};

export function createFakeConsumerMember(options: { topic: string; log: string[] }): FakeConsumerMember {
  const { topic, log } = options;
  const positions = new Map<number, bigint>();
  const paused = new Set<number>();
  let handlers: ConsumerHandlers | undefined;
  const current = (): ConsumerHandlers => {
    if (handlers === undefined) throw new Error('the member was not started');
    return handlers;
  };
  return {
    get handlers() {
      return current();
    },
    position: (partition) => positions.get(partition) ?? 0n,
    isPaused: (partition) => paused.has(partition),
    start: async (given) => {
      handlers = given;
    },
    seek: (partition, offset) => {
      positions.set(partition, offset);
      log.push(`seek ${partition} to ${offset}`);
    },
    pause: (partition) => {
      paused.add(partition);
      log.push(`pause ${partition}`);
    },
    resume: (partition) => {
      paused.delete(partition);
      log.push(`resume ${partition}`);
    },
    commit: async (offsets) => {
      log.push(`told Kafka ${[...offsets].map(([partition, offset]) => `${partition}:${offset}`).join(' ')}`);
    },
    stop: async () => {
      log.push('left the group');
    },
    deliver: async (partition, values, deliverOptions = {}) => {
      const fetchedFrom = (positions.get(partition) ?? 0n) + (deliverOptions.gap ?? 0n);
      const records = values.map(
        (value, index): KafkaRecord => ({
          topic,
          partition,
          offset: fetchedFrom + BigInt(index),
          key: null,
          value: Buffer.from(value),
          headers: {},
          timestampMs: 0,
        }),
      );
      const nextOffset = fetchedFrom + BigInt(values.length);
      positions.set(partition, nextOffset);
      await current().fetched({
        partition,
        fetchedFrom,
        records,
        nextOffset,
        highWatermark: deliverOptions.highWatermark ?? nextOffset,
      });
    },
  };
}
