// Records of one partition that wait for their flush: order kept, nothing skipped, batches cut by count, bytes, age and range.
import type { DecodedRecord, DecodeResult, KafkaRecord, RejectedRecord } from '#platform/kafka/record.ts';
import type { Batch, FlushPolicy, Sink } from '#platform/kafka/sink.ts';

export type PartitionBuffer<T> = {
  /** Offset after everything that was appended: where the next fetch must continue. */
  readonly position: bigint;
  readonly recordCount: number;
  readonly byteCount: number;
  /** The next batch is a claimed range that has not arrived completely: it can neither be cut nor flushed yet. */
  readonly awaitsRange: boolean;
  /** Adds records in offset order; those below the position were seen before and are left out. */
  append(records: readonly KafkaRecord[], nextOffset: bigint, nowMs: number): void;
  /** When the oldest record will be due by age, in ms; undefined when nothing waits. */
  dueAtMs(policy: FlushPolicy): number | undefined;
  /** The next batch if one is due (or anything waits and `force` is set), else undefined. Its records leave the buffer. */
  take(policy: FlushPolicy, nowMs: number, options?: { force?: boolean }): Batch<T> | undefined;
};

/**
 * Records wait as bytes and are decoded when their batch is taken: a decoded event is several times as large, and with a backlog
 * most of what is held only waits.
 *
 * @param start position of the group in this partition.
 * @param pinnedEnd when set, the first batch is exactly `[start, pinnedEnd)`, whatever the policy says.
 */
export function createPartitionBuffer<T>(options: {
  topic: string;
  partition: number;
  start: bigint;
  pinnedEnd: bigint | null;
  decode: (record: KafkaRecord) => DecodeResult<T>;
  startsNewBatch?: Sink<T>['startsNewBatch'] | undefined;
}): PartitionBuffer<T> {
  const { topic, partition, decode, startsNewBatch } = options;
  let waiting: KafkaRecord[] = [];
  /** When each waiting record arrived, in ms. */
  let arrivals: number[] = [];
  let byteCount = 0;
  let takenTo = options.start;
  let position = options.start;
  let pinnedEnd = options.pinnedEnd;

  const sizeOf = (record: KafkaRecord): number => record.value?.length ?? 0;

  /** How many waiting records the next batch may hold, and whether it is complete without waiting longer. */
  const measure = (policy: FlushPolicy): { count: number; closed: boolean } => {
    let bytes = 0;
    for (let count = 0; count < waiting.length; count += 1) {
      const record = waiting[count]!;
      const previous = count > 0 ? waiting[count - 1] : undefined;
      if (pinnedEnd === null) {
        if (previous !== undefined && startsNewBatch?.(previous, record) === true) return { count, closed: true };
        if (count >= policy.maxRecords || (count > 0 && bytes + sizeOf(record) > policy.maxBytes))
          return { count, closed: true };
      } else if (record.offset >= pinnedEnd) {
        return { count, closed: true };
      }
      bytes += sizeOf(record);
    }
    const count = waiting.length;
    if (pinnedEnd !== null) return { count, closed: position >= pinnedEnd };
    return { count, closed: count >= policy.maxRecords || bytes >= policy.maxBytes };
  };

  return {
    get position() {
      return position;
    },
    get recordCount() {
      return waiting.length;
    },
    get byteCount() {
      return byteCount;
    },
    get awaitsRange() {
      return pinnedEnd !== null && position < pinnedEnd;
    },
    append: (added, nextOffset, nowMs) => {
      for (const record of added) {
        if (record.offset < position) continue;
        waiting.push(record);
        arrivals.push(nowMs);
        byteCount += sizeOf(record);
      }
      if (nextOffset > position) position = nextOffset;
    },
    dueAtMs: (policy) => {
      const oldest = arrivals[0];
      return oldest === undefined ? undefined : oldest + policy.maxAgeMs;
    },
    take: (policy, nowMs, takeOptions = {}) => {
      const oldest = arrivals[0];
      if (oldest === undefined && !(pinnedEnd !== null && position >= pinnedEnd)) return undefined;
      const { count, closed } = measure(policy);
      if (!closed) {
        // A claimed range is flushed whole or not at all.
        if (pinnedEnd !== null) return undefined;
        const due = oldest !== undefined && oldest + policy.maxAgeMs <= nowMs;
        if (!due && takeOptions.force !== true) return undefined;
      }
      const records: DecodedRecord<T>[] = [];
      const rejected: RejectedRecord[] = [];
      for (const record of waiting.slice(0, count)) {
        byteCount -= sizeOf(record);
        const result = decode(record);
        if (result.ok) records.push({ record, value: result.value });
        else rejected.push({ record, rejection: result.rejection });
      }
      const last = waiting[count - 1];
      // Taken records are let go at once: the batch may be gone long before the rest of the buffer.
      waiting = waiting.slice(count);
      arrivals = arrivals.slice(count);
      const emptied = waiting.length === 0;
      const nextOffset = pinnedEnd ?? (emptied ? position : last!.offset + 1n);
      const batch: Batch<T> = { topic, partition, firstOffset: takenTo, nextOffset, records, rejected };
      takenTo = nextOffset;
      pinnedEnd = null;
      return batch;
    },
  };
}
