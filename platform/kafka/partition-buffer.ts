// Records of one partition that wait for their flush: order kept, nothing skipped, batches cut by count, bytes, age and range.
import type { DecodedRecord, DecodeResult, KafkaRecord, RejectedRecord } from '#platform/kafka/record.ts';
import type { Batch, FlushPolicy, Sink } from '#platform/kafka/sink.ts';

type Entry<T> = { readonly record: KafkaRecord; readonly result: DecodeResult<T>; readonly arrivedAtMs: number };

export type PartitionBuffer<T> = {
  /** Offset after everything that was appended: where the next fetch must continue. */
  readonly position: bigint;
  readonly recordCount: number;
  readonly byteCount: number;
  /** The next batch is a claimed range that has not arrived completely: it can neither be cut nor flushed yet. */
  readonly awaitsRange: boolean;
  /** Adds records in offset order; those below the position were seen before and are left out. */
  append(entries: readonly { record: KafkaRecord; result: DecodeResult<T> }[], nextOffset: bigint, nowMs: number): void;
  /** When the oldest record will be due by age, in ms; undefined when nothing waits. */
  dueAtMs(policy: FlushPolicy): number | undefined;
  /** The next batch if one is due (or anything waits and `force` is set), else undefined. Its records leave the buffer. */
  take(policy: FlushPolicy, nowMs: number, options?: { force?: boolean }): Batch<T> | undefined;
};

/**
 * @param start position of the group in this partition.
 * @param pinnedEnd when set, the first batch is exactly `[start, pinnedEnd)`, whatever the policy says.
 */
export function createPartitionBuffer<T>(options: {
  topic: string;
  partition: number;
  start: bigint;
  pinnedEnd: bigint | null;
  startsNewBatch?: Sink<T>['startsNewBatch'] | undefined;
}): PartitionBuffer<T> {
  const { topic, partition, startsNewBatch } = options;
  let entries: Entry<T>[] = [];
  let head = 0;
  let byteCount = 0;
  let takenTo = options.start;
  let position = options.start;
  let pinnedEnd = options.pinnedEnd;

  const sizeOf = (entry: Entry<T>): number => entry.record.value?.length ?? 0;

  /** How many waiting records the next batch may hold, and whether it is complete without waiting longer. */
  const measure = (policy: FlushPolicy): { count: number; closed: boolean } => {
    let bytes = 0;
    for (let index = head; index < entries.length; index += 1) {
      const entry = entries[index]!;
      const count = index - head;
      const previous = count > 0 ? entries[index - 1]! : undefined;
      if (pinnedEnd === null) {
        if (previous !== undefined && startsNewBatch?.(previous.record, entry.record) === true)
          return { count, closed: true };
        if (count >= policy.maxRecords || (count > 0 && bytes + sizeOf(entry) > policy.maxBytes))
          return { count, closed: true };
      } else if (entry.record.offset >= pinnedEnd) {
        return { count, closed: true };
      }
      bytes += sizeOf(entry);
    }
    const count = entries.length - head;
    if (pinnedEnd !== null) return { count, closed: position >= pinnedEnd };
    return { count, closed: count >= policy.maxRecords || bytes >= policy.maxBytes };
  };

  return {
    get position() {
      return position;
    },
    get recordCount() {
      return entries.length - head;
    },
    get byteCount() {
      return byteCount;
    },
    get awaitsRange() {
      return pinnedEnd !== null && position < pinnedEnd;
    },
    append: (added, nextOffset, nowMs) => {
      for (const { record, result } of added) {
        if (record.offset < position) continue;
        const entry = { record, result, arrivedAtMs: nowMs };
        entries.push(entry);
        byteCount += sizeOf(entry);
      }
      if (nextOffset > position) position = nextOffset;
    },
    dueAtMs: (policy) => {
      const oldest = entries[head];
      return oldest === undefined ? undefined : oldest.arrivedAtMs + policy.maxAgeMs;
    },
    take: (policy, nowMs, takeOptions = {}) => {
      const oldest = entries[head];
      if (oldest === undefined && !(pinnedEnd !== null && position >= pinnedEnd)) return undefined;
      const { count, closed } = measure(policy);
      if (!closed) {
        // A claimed range is flushed whole or not at all.
        if (pinnedEnd !== null) return undefined;
        const due = oldest !== undefined && oldest.arrivedAtMs + policy.maxAgeMs <= nowMs;
        if (!due && takeOptions.force !== true) return undefined;
      }
      const records: DecodedRecord<T>[] = [];
      const rejected: RejectedRecord[] = [];
      for (let index = head; index < head + count; index += 1) {
        const { record, result } = entries[index]!;
        byteCount -= record.value?.length ?? 0;
        if (result.ok) records.push({ record, value: result.value });
        else rejected.push({ record, rejection: result.rejection });
      }
      const last = entries[head + count - 1];
      head += count;
      const emptied = head === entries.length;
      if (emptied || head > 8_192) {
        entries = entries.slice(head);
        head = 0;
      }
      const nextOffset = pinnedEnd ?? (emptied ? position : last!.record.offset + 1n);
      const batch: Batch<T> = { topic, partition, firstOffset: takenTo, nextOffset, records, rejected };
      takenTo = nextOffset;
      pinnedEnd = null;
      return batch;
    },
  };
}
