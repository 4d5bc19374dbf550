// Bounds what a member holds in memory: partitions pause when they or all of them together hold enough, and go on where there is room.
import type { ConsumerMember } from '#platform/kafka/consumer-port.ts';
import type { OwnedPartition } from '#platform/kafka/owned-partition.ts';
import type { FlushPolicy } from '#platform/kafka/sink.ts';

export type Backpressure<T> = {
  /** More is buffered than may be, and this is the partition whose flush helps most. */
  isPressedBy(partition: OwnedPartition<T>): boolean;
  /** After records were added to the partition. */
  pauseIfFull(partition: OwnedPartition<T>): void;
  /** After records have left. */
  resumeWhereRoom(): void;
};

export function createBackpressure<T>(options: {
  owned: ReadonlyMap<number, OwnedPartition<T>>;
  member: Pick<ConsumerMember, 'pause' | 'resume'>;
  flush: FlushPolicy;
  maxBufferedBytes: number;
}): Backpressure<T> {
  const { owned, member, flush, maxBufferedBytes } = options;

  const isPressed = (): boolean => {
    let total = 0;
    for (const { buffer } of owned.values()) total += buffer?.byteCount ?? 0;
    return total >= maxBufferedBytes;
  };

  const fullest = (): OwnedPartition<T> | undefined => {
    let found: OwnedPartition<T> | undefined;
    for (const partition of owned.values()) {
      if (partition.flushing || partition.buffer === undefined || partition.buffer.awaitsRange) continue;
      if (found === undefined || partition.buffer.byteCount > found.buffer!.byteCount) found = partition;
    }
    return found;
  };

  const isFull = ({ buffer }: OwnedPartition<T>): boolean => {
    // A claimed range must arrive whole before anything of it can be flushed, however large it is.
    if (buffer === undefined || buffer.awaitsRange) return false;
    return buffer.recordCount >= 2 * flush.maxRecords || buffer.byteCount >= 2 * flush.maxBytes;
  };

  return {
    isPressedBy: (partition) => isPressed() && fullest() === partition,
    pauseIfFull: (partition) => {
      if (partition.paused || partition.buffer?.awaitsRange === true) return;
      if (!isFull(partition) && !isPressed()) return;
      partition.paused = true;
      member.pause(partition.id);
    },
    resumeWhereRoom: () => {
      if (isPressed()) return;
      for (const partition of owned.values()) {
        if (!partition.paused || partition.phase !== 'active' || isFull(partition)) continue;
        partition.paused = false;
        member.resume(partition.id);
      }
    },
  };
}
