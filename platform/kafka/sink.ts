// The port between the batch runner and a consumer: what one flush is, and what a consumer does with it.
import type { DecodedRecord, RejectedRecord } from '#platform/kafka/record.ts';
import type { PoolClient } from '#platform/postgres/pool.ts';

/** A contiguous run of records of one partition that is written together. */
export type Batch<T> = {
  readonly topic: string;
  readonly partition: number;
  /** Position of the group before this batch; the first record's offset is at or after it. */
  readonly firstOffset: bigint;
  /** Position of the group after this batch: exclusive end. */
  readonly nextOffset: bigint;
  readonly records: readonly DecodedRecord<T>[];
  /** Records of the same run that could not be decoded; the runner has dead-lettered them already. */
  readonly rejected: readonly RejectedRecord[];
};

/** Every decoded record is counted once: written, duplicate, or rejected by the sink with a reason. */
export type WriteResult = {
  readonly written: number;
  readonly duplicates: number;
  readonly rejected: readonly RejectedRecord[];
};

/**
 * A consumer's effects. `write` runs inside the transaction that also moves the group's offset; what it changes through `tx`
 * becomes visible with the offset or not at all. A thrown RecordError (or a Postgres data error) makes the runner halve the
 * batch until the record at fault is alone, which is then dead-lettered as `poison`; a retryable error makes it wait and try
 * the same batch again.
 */
export type Sink<T, Prepared = void> = {
  /** Work before the transaction that is safe to repeat for the same range, such as a claimed upload. */
  prepare?(batch: Batch<T>): Promise<Prepared>;
  write(tx: PoolClient, batch: Batch<T>, prepared: Prepared): Promise<WriteResult>;
  /**
   * Asked when a partition is taken over at `nextOffset`: the exclusive end of a range that an earlier owner claimed and did not
   * finish, which must be flushed first and exactly; null when there is none.
   */
  pinnedEnd?(partition: number, nextOffset: bigint): Promise<bigint | null>;
  /** True when `next` must start a new batch, for example because it belongs to another hour. */
  startsNewBatch?(previous: DecodedRecord<T>['record'], next: DecodedRecord<T>['record']): boolean;
  /** After the commit: for caches that may only hold what is durable. */
  committed?(batch: Batch<T>): void;
  /** An operator has acted on the group and may have changed what it stored: caches of it are read again. */
  forget?(): void;
};

export type FlushPolicy = {
  /** A batch is flushed when it holds this many records, */
  readonly maxRecords: number;
  /** or this many bytes of record values, */
  readonly maxBytes: number;
  /** or when its oldest record has waited this long. */
  readonly maxAgeMs: number;
};
