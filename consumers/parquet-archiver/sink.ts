// One flush of the archiver: claim the range, write and upload its object, commit the claim together with the offset.
import { createHash } from 'node:crypto';
import { archiveHourOf, isAnotherHour, segmentKeyOf } from '#domain/archive/archive-layout.ts';
import { FatalError } from '#platform/errors.ts';
import type { Batch, Sink } from '#platform/kafka/sink.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import type { Manifest, Range, SegmentFacts } from './manifest.ts';
import type { ParquetWriter } from './parquet-writer.ts';
import { type ArchiveRow, createTimeSpan, toArchiveRow } from './transform.ts';

export type ArchiverDeps = {
  manifest: Manifest;
  objectStore: Pick<ObjectStore, 'put'>;
  writer: Pick<ParquetWriter, 'write'>;
};

type Uploaded = { readonly range: Range; readonly facts: SegmentFacts };

/** Append time of the first record of the batch, decoded or not; undefined when it holds control records only. */
function firstAppendTimeOf(batch: Batch<EventRecord>): number | undefined {
  const [decoded, rejected] = [batch.records[0]?.record, batch.rejected[0]?.record];
  if (decoded === undefined || rejected === undefined) return (decoded ?? rejected)?.timestampMs;
  return (decoded.offset < rejected.offset ? decoded : rejected).timestampMs;
}

export function createArchiverSink(deps: ArchiverDeps): Sink<EventRecord, Uploaded> {
  return {
    startsNewBatch: (previous, next) => isAnotherHour(previous.timestampMs, next.timestampMs),
    pinnedEnd: async (partition, nextOffset) => {
      const claim = await deps.manifest.findOpenClaim(partition);
      if (claim === null) return null;
      if (claim.firstOffset !== nextOffset) {
        throw new FatalError(
          `partition ${partition} has an open claim from offset ${claim.firstOffset}, but the group is at ${nextOffset}: compare exp.archive_manifest with exp.consumer_offsets`,
          { code: 'cluster-mismatch' },
        );
      }
      return claim.lastOffset + 1n;
    },
    prepare: async (batch) => {
      const range: Range = {
        partition: batch.partition,
        firstOffset: batch.firstOffset,
        lastOffset: batch.nextOffset - 1n,
      };
      // Without any record only a claim that is already there can be meant, and its own hour stays.
      const hour = archiveHourOf(firstAppendTimeOf(batch) ?? 0);
      const objectKey = await deps.manifest.claim(range, segmentKeyOf({ topic: batch.topic, ...range, hour }), hour);
      const eventTime = createTimeSpan();
      const appendTime = createTimeSpan();
      for (const { record } of batch.rejected) appendTime.add(record.timestampMs);
      function* rows(): Generator<ArchiveRow> {
        for (const decoded of batch.records) {
          const row = toArchiveRow(decoded);
          eventTime.add(row.event_time);
          appendTime.add(row.append_time);
          yield row;
        }
      }
      const rowCount = batch.records.length;
      // A range of rejected records only has no object; its manifest row still says that nothing is missing.
      const body = rowCount === 0 ? null : await deps.writer.write(rows(), rowCount);
      if (body !== null) await deps.objectStore.put(objectKey, body, { contentType: 'application/vnd.apache.parquet' });
      return {
        range,
        facts: {
          rowCount,
          deadLetteredCount: batch.rejected.length,
          sizeBytes: body?.byteLength ?? 0,
          contentSha256: body === null ? null : createHash('sha256').update(body).digest('hex'),
          eventTime: eventTime.read(),
          appendTime: appendTime.read(),
        },
      };
    },
    write: async (tx, batch, { range, facts }) => {
      await deps.manifest.commit(tx, range, facts);
      return { written: batch.records.length, duplicates: 0, rejected: [] };
    },
  };
}
