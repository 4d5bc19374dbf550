// Decoded records as rows of an archive file, and what the manifest says about them; pure.
import { eventDateOf } from '#domain/event/parse-event.ts';
import type { DecodedRecord } from '#platform/kafka/record.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

export type ArchiveRow = {
  readonly event_date: string;
  readonly event_id: string;
  readonly event_type: string;
  readonly unit_type: string;
  readonly unit_id: string;
  readonly experiments: string;
  readonly context: string;
  readonly metrics: string;
  readonly payload: string | null;
  readonly event_time: number;
  readonly ingest_time: number;
  readonly producer: string;
  readonly kafka_partition: number;
  readonly kafka_offset: bigint;
  readonly append_time: number;
};

export function toArchiveRows(records: readonly DecodedRecord<EventRecord>[]): ArchiveRow[] {
  return records.map(({ record, value: event }) => ({
    event_date: eventDateOf(event.event_time),
    event_id: event.event_id,
    event_type: event.event_type,
    unit_type: event.unit_type,
    unit_id: event.unit_id,
    experiments: JSON.stringify(event.experiments),
    context: JSON.stringify(event.context),
    metrics: JSON.stringify(event.metrics),
    payload: event.payload,
    event_time: event.event_time,
    ingest_time: event.ingest_time,
    producer: event.producer,
    kafka_partition: record.partition,
    kafka_offset: record.offset,
    append_time: record.timestampMs,
  }));
}

export type TimeSpan = { readonly min: Date; readonly max: Date } | null;

/** Earliest and latest of some times in ms; null when there are none. */
export function timeSpanOf(timesMs: readonly number[]): TimeSpan {
  if (timesMs.length === 0) return null;
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const time of timesMs) {
    if (time < min) min = time;
    if (time > max) max = time;
  }
  return { min: new Date(min), max: new Date(max) };
}
