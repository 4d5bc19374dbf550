// Where archived events lie in the object store and how readers get every event once; pure.

export type ArchiveHour = { readonly dt: string; readonly hour: number };

/** UTC day and hour of a broker append time, in ms. */
export function archiveHourOf(appendTimeMs: number): ArchiveHour {
  const text = new Date(appendTimeMs).toISOString();
  return { dt: text.slice(0, 10), hour: Number(text.slice(11, 13)) };
}

/** True when two append times belong to different hours, so that their records go to different objects. */
export function isAnotherHour(aMs: number, bMs: number): boolean {
  return Math.floor(aMs / 3_600_000) !== Math.floor(bMs / 3_600_000);
}

const offsetDigits = 20;
const padded = (offset: bigint): string => offset.toString().padStart(offsetDigits, '0');

/** Object key of a segment: its range is its name, so writing the range again overwrites the same object. Offsets inclusive. */
export function segmentKeyOf(segment: {
  topic: string;
  partition: number;
  firstOffset: bigint;
  lastOffset: bigint;
  hour: ArchiveHour;
}): string {
  const { topic, partition, firstOffset, lastOffset, hour } = segment;
  const folder = `events/dt=${hour.dt}/hour=${String(hour.hour).padStart(2, '0')}`;
  return `${folder}/${topic}+${partition}+${padded(firstOffset)}-${padded(lastOffset)}.parquet`;
}

/** Columns of every archive file, in order. Times are UTC; experiments, context, metrics and payload are JSON text. */
export const archiveColumns = [
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
  'ingest_time',
  'producer',
  'kafka_partition',
  'kafka_offset',
  'append_time',
] as const;

/**
 * DuckDB query over local copies of the objects that the manifest lists as committed: every event once. Of records with the same
 * identity (event_date, event_id) the one with the lowest partition and offset stays.
 */
export function readEventsSql(files: readonly string[]): string {
  if (files.length === 0) throw new RangeError('reading the archive needs at least one file');
  const list = files.map((file) => `'${file.replaceAll("'", "''")}'`).join(', ');
  return `SELECT ${archiveColumns.join(', ')} FROM read_parquet([${list}])
QUALIFY row_number() OVER (PARTITION BY event_date, event_id ORDER BY kafka_partition, kafka_offset) = 1`;
}
