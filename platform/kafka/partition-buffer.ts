// Records of one partition that wait for their flush: order kept, nothing skipped, batches cut by count, bytes, age and range.
import type { DecodedRecord, DecodeResult, KafkaRecord, RejectedRecord } from '#platform/kafka/record.ts';
import { packRecords, type RecordBlock } from '#platform/kafka/record-block.ts';
import type { Batch, FlushPolicy, Sink } from '#platform/kafka/sink.ts';

export type PartitionBuffer<T> = {
  /** Offset after everything that was appended: where the next fetch must continue. */
  readonly position: bigint;
  readonly recordCount: number;
  readonly byteCount: number;
  /** Broker time of the first record that waits, in ms. */
  readonly oldestTimestampMs: number | undefined;
  /** The next batch is a claimed range that has not arrived completely: it can neither be cut nor flushed yet. */
  readonly awaitsRange: boolean;
  /** Adds records in offset order; those below the position were seen before and are left out. */
  append(records: readonly KafkaRecord[], nextOffset: bigint, nowMs: number): void;
  /** When the oldest record will be due by age, in ms; undefined when nothing waits. */
  dueAtMs(policy: FlushPolicy): number | undefined;
  /** The next batch if one is due (or anything waits and `force` is set), else undefined. Its records leave the buffer. */
  take(policy: FlushPolicy, nowMs: number, options?: { force?: boolean }): Batch<T> | undefined;
};

/** Records that arrived together; those before `taken` have left. */
type Waiting = { readonly block: RecordBlock; readonly arrivedMs: number; taken: number };

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
  let waiting: Waiting[] = [];
  let recordCount = 0;
  let byteCount = 0;
  let takenTo = options.start;
  let position = options.start;
  let pinnedEnd = options.pinnedEnd;
  /** Records ever taken, and at how many of them a new batch must start. */
  let takenCount = 0;
  let cuts: number[] = [];
  let lastAppended: KafkaRecord | undefined;

  const findCuts = (records: readonly KafkaRecord[]): void => {
    if (startsNewBatch === undefined) return;
    for (const [index, record] of records.entries()) {
      const at = takenCount + recordCount + index;
      // When everything before has left, a new batch starts here anyway.
      if (at > takenCount && lastAppended !== undefined && startsNewBatch(lastAppended, record)) cuts.push(at);
      lastAppended = record;
    }
  };

  /** Calls `visit` for waiting records in order until it says false. */
  const visitWaiting = (visit: (block: RecordBlock, index: number) => boolean): void => {
    for (const { block, taken } of waiting) {
      for (let index = taken; index < block.count; index += 1) if (!visit(block, index)) return;
    }
  };

  /** How many waiting records the next batch may hold, and whether it is complete without waiting longer. */
  const measure = (policy: FlushPolicy): { count: number; closed: boolean } => {
    let count = 0;
    if (pinnedEnd !== null) {
      const end = pinnedEnd;
      visitWaiting((block, index) => {
        if (block.offsetAt(index) >= end) return false;
        count += 1;
        return true;
      });
      return { count, closed: position >= end };
    }
    const cut = (cuts[0] ?? Number.POSITIVE_INFINITY) - takenCount;
    const limit = Math.min(recordCount, policy.maxRecords, cut);
    if (byteCount <= policy.maxBytes) {
      return { count: limit, closed: limit === policy.maxRecords || limit === cut || byteCount === policy.maxBytes };
    }
    let bytes = 0;
    visitWaiting((block, index) => {
      bytes += block.valueBytesAt(index);
      // A record that is larger than a batch is a batch of its own.
      if (count === limit || (count > 0 && bytes > policy.maxBytes)) return false;
      count += 1;
      return true;
    });
    return { count, closed: true };
  };

  const takeRecords = (count: number): Pick<Batch<T>, 'records' | 'rejected'> & { last: bigint } => {
    const records: DecodedRecord<T>[] = [];
    const rejected: RejectedRecord[] = [];
    let last = -1n;
    for (let open = count; open > 0; ) {
      const first = waiting[0]!;
      const { block } = first;
      const end = Math.min(block.count, first.taken + open);
      for (let index = first.taken; index < end; index += 1) {
        byteCount -= block.valueBytesAt(index);
        const record = block.recordAt(index);
        const result = decode(record);
        if (result.ok) records.push({ record, value: result.value });
        else rejected.push({ record, rejection: result.rejection });
      }
      last = block.offsetAt(end - 1);
      open -= end - first.taken;
      first.taken = end;
      if (end === block.count) waiting = waiting.slice(1);
    }
    recordCount -= count;
    takenCount += count;
    cuts = cuts.filter((cut) => cut > takenCount);
    return { records, rejected, last };
  };

  return {
    get position() {
      return position;
    },
    get recordCount() {
      return recordCount;
    },
    get byteCount() {
      return byteCount;
    },
    get oldestTimestampMs() {
      const first = waiting[0];
      return first?.block.recordAt(first.taken).timestampMs;
    },
    get awaitsRange() {
      return pinnedEnd !== null && position < pinnedEnd;
    },
    append: (fetched, nextOffset, nowMs) => {
      const records = fetched.filter((record) => record.offset >= position);
      if (records.length > 0) {
        findCuts(records);
        waiting.push({ block: packRecords(records), arrivedMs: nowMs, taken: 0 });
        recordCount += records.length;
        for (const { value } of records) byteCount += value?.length ?? 0;
      }
      if (nextOffset > position) position = nextOffset;
    },
    dueAtMs: (policy) => {
      const oldest = waiting[0];
      return oldest === undefined ? undefined : oldest.arrivedMs + policy.maxAgeMs;
    },
    take: (policy, nowMs, takeOptions = {}) => {
      const oldest = waiting[0];
      if (oldest === undefined && !(pinnedEnd !== null && position >= pinnedEnd)) return undefined;
      const { count, closed } = measure(policy);
      if (!closed) {
        // A claimed range is flushed whole or not at all.
        if (pinnedEnd !== null) return undefined;
        const due = oldest !== undefined && oldest.arrivedMs + policy.maxAgeMs <= nowMs;
        if (!due && takeOptions.force !== true) return undefined;
      }
      const { records, rejected, last } = takeRecords(count);
      const nextOffset = pinnedEnd ?? (recordCount === 0 ? position : last + 1n);
      const batch: Batch<T> = { topic, partition, firstOffset: takenTo, nextOffset, records, rejected };
      takenTo = nextOffset;
      pinnedEnd = null;
      return batch;
    },
  };
}
