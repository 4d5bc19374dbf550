// Events as lines of Postgres COPY text; pure.
import { eventDateOf } from '#domain/event/parse-event.ts';
import type { DecodedRecord } from '#platform/kafka/record.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

/** Column order of a line. */
export const copiedColumns = [
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

const dayMs = 86_400_000;
const firstPlainMs = Date.UTC(0, 0, 1);
const lastPlainMs = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
const twoDigits = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, '0'));
const threeDigits = Array.from({ length: 1_000 }, (_, number) => String(number).padStart(3, '0'));

/** `YYYY-MM-DDThh:mm:ss.mmmZ` as Date.prototype.toISOString gives it, in a tenth of its time: two of these are in every line. */
export function timeText(timeMs: number): string {
  if (timeMs < firstPlainMs || timeMs > lastPlainMs) return new Date(timeMs).toISOString();
  const inDay = timeMs - Math.floor(timeMs / dayMs) * dayMs;
  const second = Math.floor(inDay / 1_000);
  const minute = Math.floor(second / 60);
  const hour = Math.floor(minute / 60);
  return `${eventDateOf(timeMs)}T${twoDigits[hour]}:${twoDigits[minute - hour * 60]}:${twoDigits[second - minute * 60]}.${threeDigits[inDay - second * 1_000]}Z`;
}

/** One line per event, in order. `mismatched` lists the experiments whose variant contradicts the stored assignment. */
export function toCopyText(
  records: readonly DecodedRecord<EventRecord>[],
  mismatched: ReadonlyMap<bigint, readonly string[]>,
): string {
  let text = '';
  for (const { record, value: event } of records) {
    const contradicted = mismatched.size === 0 ? undefined : mismatched.get(record.offset);
    text += `${eventDateOf(event.event_time)}\t${event.event_id}\t${event.event_type}\t${event.unit_type}\t${escapeCopyField(event.unit_id)}\t${
      event.experiments.length === 0 ? '[]' : JSON.stringify(event.experiments)
    }\t${escapeCopyField(JSON.stringify(event.context))}\t${JSON.stringify(event.metrics)}\t${
      event.payload === null ? '\\N' : escapeCopyField(event.payload)
    }\t${timeText(event.event_time)}\t${timeText(event.ingest_time)}\t${escapeCopyField(event.producer)}\t${
      contradicted === undefined ? '\\N' : `{${contradicted.join(',')}}`
    }\t${record.topic}\t${record.partition}\t${record.offset}\n`;
  }
  return text;
}
