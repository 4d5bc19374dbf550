// The rows of a step as the records they were: by partition in offset order, a chunk at a time.
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import type { DecodeResult, KafkaRecord, RecordDecoder } from '#platform/kafka/record.ts';
import { downloadObjects } from '#platform/object-store/download-objects.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import { openScratchDatabase, quoteText } from '#platform/parquet/scratch-database.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import type { Step } from './plan-steps.ts';

/** Records of one partition in offset order. */
export type RecordChunk = { readonly partition: number; readonly records: readonly KafkaRecord[] };

const textColumns = [
  'event_id',
  'event_type',
  'unit_type',
  'unit_id',
  'experiments',
  'context',
  'metrics',
  'payload',
  'producer',
];
const timeColumns = ['event_time', 'ingest_time', 'append_time'];
const selected = [...textColumns, ...timeColumns.map((column) => `epoch_ms(${column})::DOUBLE AS ${column}`)].join(
  ', ',
);

type Row = {
  readonly [column in Exclude<keyof EventRecord, 'experiments' | 'context' | 'metrics'>]: EventRecord[column];
} & {
  readonly experiments: string;
  readonly context: string;
  readonly metrics: string;
  readonly append_time: number;
  readonly kafka_partition: number;
  readonly kafka_offset: bigint;
};

/** The event as JSON text: what was nested is JSON text in the file already. */
function toRecord(topic: string, row: Row): KafkaRecord {
  const { experiments, context, metrics, append_time, kafka_partition, kafka_offset, ...fields } = row;
  const flat = JSON.stringify(fields).slice(0, -1);
  return {
    topic,
    partition: kafka_partition,
    offset: kafka_offset,
    key: Buffer.from(eventKeyOf(row)),
    value: Buffer.from(`${flat},"experiments":${experiments},"context":${context},"metrics":${metrics}}`),
    headers: {},
    timestampMs: append_time,
  };
}

/** Decodes what `readStep` made, and applies the rules of the event as a reader of the topic does. */
export function createArchivedDecoder(
  parse: (value: unknown, record: KafkaRecord) => DecodeResult<EventRecord>,
): RecordDecoder<EventRecord> {
  return {
    prepare: async () => undefined,
    decode: (record) => parse(JSON.parse(record.value!.toString()), record),
  };
}

/** Downloads the objects of the step and gives its records; partitions take turns. */
export async function* readStep(
  deps: { objectStore: Pick<ObjectStore, 'get'>; topic: string },
  step: Step,
): AsyncGenerator<RecordChunk> {
  if (step.objectKeys.length === 0) return;
  await using scratch = await openScratchDatabase();
  const { connection, folder } = scratch;
  const paths = await downloadObjects(deps.objectStore, step.objectKeys, folder);
  const ranges = step.ranges.map(
    ({ partition, firstOffset, lastOffset }) => `(${partition}, ${firstOffset}::BIGINT, ${lastOffset}::BIGINT)`,
  );
  await connection.run(
    `CREATE TEMP TABLE records AS
     SELECT kafka_partition, kafka_offset, ${selected}
     FROM read_parquet([${paths.map(quoteText).join(', ')}])
     JOIN (VALUES ${ranges.join(', ')}) r (kafka_partition, first_offset, last_offset) USING (kafka_partition)
     WHERE kafka_offset BETWEEN first_offset AND last_offset
     ORDER BY kafka_offset - first_offset, kafka_partition`,
  );
  await rm(dirname(paths[0]!), { recursive: true });
  const rows = await connection.stream('SELECT * FROM records');
  for await (const chunk of rows.yieldRowObjectJs()) {
    const byPartition = Map.groupBy(chunk as unknown as Row[], ({ kafka_partition }) => kafka_partition);
    for (const [partition, own] of byPartition)
      yield { partition, records: own.map((row) => toRecord(deps.topic, row)) };
  }
}
