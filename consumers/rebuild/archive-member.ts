// The consumer port on the archive: a member that owns every archived partition and delivers its records once, in order.
import { FatalError } from '#platform/errors.ts';
import type { ConsumerHandlers, ConsumerMember } from '#platform/kafka/consumer-port.ts';
import type { KafkaRecord } from '#platform/kafka/record.ts';
import type { RecordChunk } from './archived-records.ts';
import type { Step } from './plan-steps.ts';

export type ArchiveMember = ConsumerMember & {
  /** Resolves when everything was delivered; rejects when the archive cannot be read. */
  readonly delivered: Promise<void>;
  /** Where the group is at least, by partition, once all that was delivered is flushed. */
  readonly reached: ReadonlyMap<number, bigint>;
};

/**
 * Delivery begins when every partition is positioned, and waits for a partition that is paused.
 * @param starts Where each partition continues. A seek to anywhere else ends the member: the group was moved meanwhile.
 */
export function createArchiveMember(options: {
  starts: ReadonlyMap<number, bigint>;
  ends: ReadonlyMap<number, bigint>;
  steps: readonly Step[];
  readStep: (step: Step) => AsyncIterable<RecordChunk>;
  onStep?: (done: number) => void;
}): ArchiveMember {
  const { starts, ends } = options;
  const delivered = Promise.withResolvers<void>();
  const cursors = new Map(starts);
  const reached = new Map(starts);
  const open = new Set<number>();
  let waiting: (() => void)[] = [];
  let stopped = false;

  const untilResumed = async (partitions: readonly number[]): Promise<void> => {
    while (!stopped && partitions.some((partition) => !open.has(partition)))
      await new Promise<void>((resolve) => waiting.push(resolve));
  };

  const deliver = async (
    handlers: ConsumerHandlers,
    partition: number,
    records: readonly KafkaRecord[],
    nextOffset: bigint,
  ): Promise<void> => {
    await untilResumed([partition]);
    if (stopped) return;
    const fetchedFrom = cursors.get(partition)!;
    cursors.set(partition, nextOffset);
    await handlers.fetched({ partition, fetchedFrom, records, nextOffset, highWatermark: ends.get(partition)! });
  };

  const pump = async (handlers: ConsumerHandlers): Promise<void> => {
    await untilResumed([...starts.keys()]);
    for (const [index, step] of options.steps.entries()) {
      for await (const { partition, records } of options.readStep(step)) {
        if (stopped) return;
        reached.set(partition, records.at(-1)!.offset + 1n);
        await deliver(handlers, partition, records, records.at(-1)!.offset + 1n);
      }
      // Offsets at the end of a range may have no row: dead letters, duplicates that compaction left out.
      for (const { partition, lastOffset } of step.ranges) await deliver(handlers, partition, [], lastOffset + 1n);
      options.onStep?.(index + 1);
    }
  };

  return {
    delivered: delivered.promise,
    reached,
    start: async (handlers) => {
      handlers.assigned([...starts.keys()]);
      void pump(handlers).then(delivered.resolve, delivered.reject);
    },
    seek: (partition, offset) => {
      if (cursors.get(partition) === offset) return;
      delivered.reject(
        new FatalError(
          `partition ${partition} was moved to ${offset} while it was rebuilt: run the rebuild again, it goes on from there`,
          { code: 'ownership-lost' },
        ),
      );
      stopped = true;
    },
    pause: (partition) => void open.delete(partition),
    resume: (partition) => {
      open.add(partition);
      for (const wake of waiting) wake();
      waiting = [];
    },
    commit: async () => undefined,
    stop: async () => {
      stopped = true;
      for (const wake of waiting) wake();
    },
  };
}
