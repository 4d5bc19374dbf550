// Decoded records as rows of an archive file, and what the manifest says about them; pure.
import type { DecodedRecord } from '#platform/kafka/record.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

export type ArchiveRow = {
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
  readonly kafka_offset: number;
  readonly append_time: number;
};

/** By list: events of one variant share theirs (domain/event/decode-event.ts). */
const experimentTexts = new WeakMap<EventRecord['experiments'], string>();

function experimentsText(experiments: EventRecord['experiments']): string {
  let text = experimentTexts.get(experiments);
  if (text === undefined) {
    text = JSON.stringify(experiments);
    if (Object.isFrozen(experiments)) experimentTexts.set(experiments, text);
  }
  return text;
}

export function toArchiveRow({ record, value: event }: DecodedRecord<EventRecord>): ArchiveRow {
  return {
    event_id: event.event_id,
    event_type: event.event_type,
    unit_type: event.unit_type,
    unit_id: event.unit_id,
    experiments: experimentsText(event.experiments),
    context: JSON.stringify(event.context),
    metrics: JSON.stringify(event.metrics),
    payload: event.payload,
    event_time: event.event_time,
    ingest_time: event.ingest_time,
    producer: event.producer,
    kafka_partition: record.partition,
    kafka_offset: Number(record.offset),
    append_time: record.timestampMs,
  };
}

/** Earliest and latest of some times; null when there are none. */
export type TimeSpan = { readonly min: Date; readonly max: Date } | null;

/** Collects times in ms one by one. */
export function createTimeSpan(): { add(timeMs: number): void; read(): TimeSpan } {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  return {
    add: (timeMs) => {
      if (timeMs < min) min = timeMs;
      if (timeMs > max) max = timeMs;
    },
    read: () => (min > max ? null : { min: new Date(min), max: new Date(max) }),
  };
}
