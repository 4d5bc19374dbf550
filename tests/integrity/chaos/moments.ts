// The moments at which a fault hurts most, as they can be seen from outside a process.
import type { ProcessName } from '#infra/system/process-specs.ts';
import { kafkaApi, type Recognizer, recognizeFlush, recognizeKafka, recognizeUpload } from './wire.ts';

export type Dependency = 'kafka' | 'postgres' | 'objectStore' | 'schemaRegistry';

export type Moment = {
  readonly name: string;
  /** Link on which it can be seen. */
  readonly dependency: Dependency;
  readonly processes: readonly ProcessName[];
  readonly recognize: () => Recognizer;
};

const groups: readonly ProcessName[] = ['postgres-sink', 'parquet-archiver', 'metrics-aggregator', 'dataset-builder'];

/** Each is held open while the fault strikes: what is on the wire does not reach the other side before. */
export const moments = {
  midFlush: {
    name: 'in mid-flush, before the first effect',
    dependency: 'postgres',
    processes: groups,
    recognize: () => recognizeFlush('fence'),
  },
  beforeCommit: {
    name: 'after the effects, before their commit',
    dependency: 'postgres',
    processes: groups,
    recognize: () => recognizeFlush('commit'),
  },
  afterCommit: {
    name: 'after the Postgres commit, before the Kafka offset commit',
    dependency: 'postgres',
    processes: groups,
    recognize: () => recognizeFlush('committed'),
  },
  afterUpload: {
    name: 'after the S3 upload, before the commit',
    dependency: 'objectStore',
    processes: ['parquet-archiver'],
    recognize: recognizeUpload,
  },
  deadLetterSent: {
    name: 'after a dead letter is on Kafka, before the commit',
    dependency: 'kafka',
    processes: groups,
    recognize: () => recognizeKafka('answer', [kafkaApi.produce]),
  },
  midRebalance: {
    name: 'in mid-rebalance',
    dependency: 'kafka',
    processes: groups,
    recognize: () => recognizeKafka('request', [kafkaApi.syncGroup]),
  },
  eventOnKafka: {
    name: 'after events are on Kafka, before their sender is told',
    dependency: 'kafka',
    processes: ['ingestion-service'],
    recognize: () => recognizeKafka('answer', [kafkaApi.produce]),
  },
  outboxPublished: {
    name: 'after an assignment is on Kafka, before the outbox is marked',
    dependency: 'kafka',
    processes: ['assignment-service'],
    recognize: () => recognizeKafka('answer', [kafkaApi.produce]),
  },
} as const satisfies Record<string, Moment>;

export type MomentKey = keyof typeof moments;

/** Beside the moments on the wire: a member that was replaced while its flush waited, and does not know it. */
export const replacedInFlush = 'a flush of a member that was replaced meanwhile';

export const momentNames: readonly string[] = [...Object.values(moments).map(({ name }) => name), replacedInFlush];
