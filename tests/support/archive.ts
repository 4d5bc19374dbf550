// Archive objects for tests, written by the archiver's own sink without Kafka: any partition, offsets and hour.
import { createManifest } from '#consumers/parquet-archiver/manifest.ts';
import { createParquetWriter } from '#consumers/parquet-archiver/parquet-writer.ts';
import { createArchiverSink } from '#consumers/parquet-archiver/sink.ts';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import type { KafkaRecord } from '#platform/kafka/record.ts';
import type { Batch, Sink } from '#platform/kafka/sink.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

export type ArchivedSegment = {
  partition: number;
  firstOffset: bigint;
  appendTimeMs: number;
  events: readonly EventRecord[];
  /** Offsets at the end of the range whose records were dead letters. */
  deadLettered?: number;
};

function toBatch(topic: string, segment: ArchivedSegment): Batch<EventRecord> {
  const { partition, firstOffset, appendTimeMs, events, deadLettered = 0 } = segment;
  const recordAt = (index: number, event?: EventRecord): KafkaRecord => ({
    topic,
    partition,
    offset: firstOffset + BigInt(index),
    key: event === undefined ? null : Buffer.from(eventKeyOf(event)),
    value: null,
    headers: {},
    timestampMs: appendTimeMs,
  });
  return {
    topic,
    partition,
    firstOffset,
    nextOffset: firstOffset + BigInt(events.length + deadLettered),
    records: events.map((value, index) => ({ record: recordAt(index, value), value })),
    rejected: Array.from({ length: deadLettered }, (_, index) => ({
      record: recordAt(events.length + index),
      rejection: { stage: 'decode', reason: 'undecodable', error: 'a test' },
    })),
  };
}

/** Writes the batches of the segments through the sink of another group. */
export async function sinkSegments<P>(
  deps: { pool: Pool; sink: Sink<EventRecord, P>; topic: string },
  segments: readonly ArchivedSegment[],
): Promise<void> {
  for (const segment of segments) {
    const batch = toBatch(deps.topic, segment);
    const prepared = (await deps.sink.prepare?.(batch)) as P;
    await inTransaction(deps.pool, (tx) => deps.sink.write(tx, batch, prepared));
  }
}

/** Archives each segment as one flush of the group would. */
export async function archiveSegments(
  deps: { pool: Pool; objectStore: ObjectStore; topic: string },
  segments: readonly ArchivedSegment[],
): Promise<void> {
  const { pool, topic } = deps;
  const writer = await createParquetWriter();
  const manifest = createManifest({ pool, topic, groupId: 'parquet-archiver' });
  const sink = createArchiverSink({ manifest, objectStore: deps.objectStore, writer });
  try {
    await sinkSegments({ pool, sink, topic }, segments);
  } finally {
    writer.close();
  }
}
