// From the record batches of one fetched partition to records: control records, aborted transactions and earlier offsets left out.
import type { KafkaRecord } from '#platform/kafka/record.ts';

/** A record batch as the wire protocol has it. */
export type RecordBatch = {
  readonly firstOffset: bigint;
  readonly lastOffsetDelta: number;
  readonly attributes: number;
  readonly firstTimestamp: bigint;
  readonly maxTimestamp: bigint;
  readonly producerId: bigint;
  readonly records: readonly {
    readonly offsetDelta: number;
    readonly timestampDelta: bigint;
    readonly key: Buffer | null;
    readonly value: Buffer | null;
    readonly headers: readonly (readonly [Buffer | null, Buffer | null])[];
  }[];
};

export type AbortedTransaction = { readonly producerId: bigint; readonly firstOffset: bigint };

const logAppendTime = 1 << 3;
const transactional = 1 << 4;
const control = 1 << 5;

const noHeaders: Readonly<Record<string, Buffer>> = Object.freeze({});

function toHeaders(headers: RecordBatch['records'][number]['headers']): Readonly<Record<string, Buffer>> {
  if (headers.length === 0) return noHeaders;
  const result: Record<string, Buffer> = {};
  for (const [name, value] of headers) {
    if (name !== null && value !== null) result[name.toString()] = value;
  }
  return result;
}

/** The type of a control record is the second 16-bit number of its key; 0 says that its transaction was aborted. */
function isAbortMarker(batch: RecordBatch): boolean {
  const key = batch.records[0]?.key;
  return key !== undefined && key !== null && key.length >= 4 && key.readInt16BE(2) === 0;
}

/**
 * Committed records at or after `fetchedFrom`, in offset order, and where the next fetch continues. `nextOffset` passes what is left
 * out too; it is `fetchedFrom` when there was nothing.
 */
export function toCommittedRecords(options: {
  topic: string;
  partition: number;
  fetchedFrom: bigint;
  batches: readonly RecordBatch[];
  aborted: readonly AbortedTransaction[];
}): { records: KafkaRecord[]; nextOffset: bigint } {
  const { topic, partition, fetchedFrom } = options;
  const waiting = options.aborted.toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1));
  /** Producers whose transaction, at this place of the log, will turn out to be aborted. */
  const aborting = new Set<bigint>();
  const records: KafkaRecord[] = [];
  let nextOffset = fetchedFrom;
  for (const batch of options.batches) {
    const lastOffset = batch.firstOffset + BigInt(batch.lastOffsetDelta);
    if (lastOffset >= nextOffset) nextOffset = lastOffset + 1n;
    while (waiting[0] !== undefined && waiting[0].firstOffset <= lastOffset) aborting.add(waiting.shift()!.producerId);
    if ((batch.attributes & control) !== 0) {
      if (isAbortMarker(batch)) aborting.delete(batch.producerId);
      continue;
    }
    if ((batch.attributes & transactional) !== 0 && aborting.has(batch.producerId)) continue;
    const appendTime = (batch.attributes & logAppendTime) === 0 ? undefined : Number(batch.maxTimestamp);
    for (const record of batch.records) {
      const offset = batch.firstOffset + BigInt(record.offsetDelta);
      // A batch is sent whole, also when the fetch began in its middle.
      if (offset < fetchedFrom) continue;
      records.push({
        topic,
        partition,
        offset,
        key: record.key,
        value: record.value,
        headers: toHeaders(record.headers),
        timestampMs: appendTime ?? Number(batch.firstTimestamp + record.timestampDelta),
      });
    }
  }
  return { records, nextOffset };
}
