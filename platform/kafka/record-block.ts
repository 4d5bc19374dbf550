// Records that wait: the bytes of many in one piece of memory, and each record a small view of it.
import type { KafkaRecord } from '#platform/kafka/record.ts';

const noHeaders: Readonly<Record<string, Buffer>> = Object.freeze({});
/** Length of a key or value that is null. */
const absent = -1;

export type RecordBlock = {
  readonly count: number;
  offsetAt(index: number): bigint;
  /** Bytes of the value; 0 for a tombstone. */
  valueBytesAt(index: number): number;
  /** A view: it keeps the block alive, and makes key and value anew whenever they are read. Spreading it copies nothing. */
  recordAt(index: number): KafkaRecord;
};

type Contents = {
  readonly topic: string;
  readonly partition: number;
  readonly bytes: Buffer;
  readonly offsets: BigInt64Array;
  readonly timestampsMs: Float64Array;
  readonly starts: Uint32Array;
  readonly keyLengths: Int32Array;
  readonly valueLengths: Int32Array;
  readonly headers: ReadonlyMap<number, KafkaRecord['headers']>;
};

class BlockRecord implements KafkaRecord {
  readonly #contents: Contents;
  readonly #index: number;

  constructor(contents: Contents, index: number) {
    this.#contents = contents;
    this.#index = index;
  }
  get topic(): string {
    return this.#contents.topic;
  }
  get partition(): number {
    return this.#contents.partition;
  }
  get offset(): bigint {
    return this.#contents.offsets[this.#index]!;
  }
  get timestampMs(): number {
    return this.#contents.timestampsMs[this.#index]!;
  }
  get headers(): KafkaRecord['headers'] {
    return this.#contents.headers.get(this.#index) ?? noHeaders;
  }
  get key(): Buffer | null {
    const { bytes, starts, keyLengths } = this.#contents;
    const length = keyLengths[this.#index]!;
    const start = starts[this.#index]!;
    return length === absent ? null : bytes.subarray(start, start + length);
  }
  get value(): Buffer | null {
    const { bytes, starts, keyLengths, valueLengths } = this.#contents;
    const length = valueLengths[this.#index]!;
    const start = starts[this.#index]! + Math.max(0, keyLengths[this.#index]!);
    return length === absent ? null : bytes.subarray(start, start + length);
  }
}

/**
 * Copies the records of one partition. What a Kafka client gives is several objects per record, and slices of responses of
 * megabytes; with a backlog, thousands of them wait and outlive the garbage collector's quick rounds. A block is a handful of
 * objects, however many records it holds.
 */
export function packRecords(records: readonly KafkaRecord[]): RecordBlock {
  const count = records.length;
  let size = 0;
  for (const { key, value } of records) size += (key?.length ?? 0) + (value?.length ?? 0);
  const headers = new Map<number, KafkaRecord['headers']>();
  const contents: Contents = {
    topic: records[0]?.topic ?? '',
    partition: records[0]?.partition ?? 0,
    // Of its own, not a slice of Node's shared pool.
    bytes: Buffer.allocUnsafeSlow(size),
    offsets: new BigInt64Array(count),
    timestampsMs: new Float64Array(count),
    starts: new Uint32Array(count),
    keyLengths: new Int32Array(count),
    valueLengths: new Int32Array(count),
    headers,
  };
  let position = 0;
  for (let index = 0; index < count; index += 1) {
    const record = records[index]!;
    contents.offsets[index] = record.offset;
    contents.timestampsMs[index] = record.timestampMs;
    contents.starts[index] = position;
    contents.keyLengths[index] = record.key?.length ?? absent;
    contents.valueLengths[index] = record.value?.length ?? absent;
    if (record.key !== null) position += record.key.copy(contents.bytes, position);
    if (record.value !== null) position += record.value.copy(contents.bytes, position);
    const named = Object.entries(record.headers);
    if (named.length > 0)
      headers.set(index, Object.fromEntries(named.map(([name, header]) => [name, Buffer.from(header)])));
  }
  return {
    count,
    offsetAt: (index) => contents.offsets[index]!,
    valueBytesAt: (index) => Math.max(0, contents.valueLengths[index]!),
    recordAt: (index) => new BlockRecord(contents, index),
  };
}
