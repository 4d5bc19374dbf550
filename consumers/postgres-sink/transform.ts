// Events as lines of Postgres COPY text for the staging table; pure.
import { eventDateOf } from '#domain/event/parse-event.ts';
import type { DecodedRecord } from '#platform/kafka/record.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

/** Column order of a staged line. */
export const stagedColumns = [
  'event_date',
  'event_id',
  'event_type',
  'unit_type',
  'unit_id',
  'experiments',
  'context',
  'metrics',
  'payload',
  'event_time',
  'created_at',
  'producer',
  'mismatched_experiment_ids',
  'source_topic',
  'source_partition',
  'source_offset',
] as const;

const special = /[\\\n\r\t]/;
const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** A field of COPY text format. */
export function escapeCopyField(text: string): string {
  return special.test(text) ? text.replace(/[\\\n\r\t]/g, (character) => escapes[character]!) : text;
}

const timeText = (milliseconds: number): string => new Date(milliseconds).toISOString();

/** One line per event, in order. `mismatched` lists the experiments whose variant contradicts the stored assignment. */
export function toCopyText(
  records: readonly DecodedRecord<EventRecord>[],
  mismatched: ReadonlyMap<bigint, readonly string[]>,
): string {
  let text = '';
  for (const { record, value: event } of records) {
    const contradicted = mismatched.get(record.offset);
    text += `${eventDateOf(event.event_time)}\t${event.event_id}\t${event.event_type}\t${event.unit_type}\t${escapeCopyField(event.unit_id)}\t${
      event.experiments.length === 0 ? '[]' : escapeCopyField(JSON.stringify(event.experiments))
    }\t${escapeCopyField(JSON.stringify(event.context))}\t${escapeCopyField(JSON.stringify(event.metrics))}\t${
      event.payload === null ? '\\N' : escapeCopyField(event.payload)
    }\t${timeText(event.event_time)}\t${timeText(event.ingest_time)}\t${escapeCopyField(event.producer)}\t${
      contradicted === undefined ? '\\N' : `{${contradicted.join(',')}}`
    }\t${record.topic}\t${record.partition}\t${record.offset}\n`;
  }
  return text;
}
