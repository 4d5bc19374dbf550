// What a Kafka record is to the rest of the system, and the outcomes that each record ends in.
import type { DeadLetterReason, DeadLetterStage } from '#schemas/dead-letter-reasons.ts';

/** May be a view of bytes that many records share: take its fields by name, a spread copies none of them. */
export type KafkaRecord = {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
  /** Broker append time in ms: the topics use LogAppendTime. */
  readonly timestampMs: number;
};

/** Why a record cannot be used. `eventId` and `experimentIds` are filled when they could be read. */
export type Rejection = {
  readonly stage: DeadLetterStage;
  readonly reason: DeadLetterReason;
  readonly error: string;
  readonly eventId?: string;
  readonly experimentIds?: readonly string[];
};

export type DecodeResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly rejection: Rejection };

/** Turns bytes into values. `decode` is synchronous and never throws for bad input. */
export type RecordDecoder<T> = {
  /** Loads what decoding these records needs, such as writer schemas. Throws a RetryableError when the registry is away. */
  prepare(records: readonly KafkaRecord[]): Promise<void>;
  decode(record: KafkaRecord): DecodeResult<T>;
};

export type DecodedRecord<T> = { readonly record: KafkaRecord; readonly value: T };
export type RejectedRecord = { readonly record: KafkaRecord; readonly rejection: Rejection };
