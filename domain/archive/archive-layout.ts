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

/** Every object of the archive lies under it. */
export const archivePrefix = 'events/';

const offsetDigits = 20;
const padded = (offset: bigint): string => offset.toString().padStart(offsetDigits, '0');
const folderOf = (hour: ArchiveHour): string =>
  `${archivePrefix}dt=${hour.dt}/hour=${String(hour.hour).padStart(2, '0')}`;

/** Object key of a segment: its range is its name, so writing the range again overwrites the same object. Offsets inclusive. */
export function segmentKeyOf(segment: {
  topic: string;
  partition: number;
  firstOffset: bigint;
  lastOffset: bigint;
  hour: ArchiveHour;
}): string {
  const { topic, partition, firstOffset, lastOffset, hour } = segment;
  return `${folderOf(hour)}/${topic}+${partition}+${padded(firstOffset)}-${padded(lastOffset)}.parquet`;
}

/** Object key of a compacted file. `id` is new for every attempt, so that no two compactions ever write the same object. */
export function compactedKeyOf(file: { topic: string; hour: ArchiveHour; id: string }): string {
  return `${folderOf(file.hour)}/${file.topic}+compacted+${file.id}.parquet`;
}

export type ArchiveKey = { readonly topic: string; readonly hour: ArchiveHour } & (
  | { readonly kind: 'segment'; readonly partition: number; readonly firstOffset: bigint; readonly lastOffset: bigint }
  | { readonly kind: 'compacted'; readonly id: string }
);

const keyPattern =
  /^events\/dt=(\d{4}-\d{2}-\d{2})\/hour=(\d{2})\/([^/+]+)\+(?:compacted\+([\w-]+)|(\d+)\+(\d{20})-(\d{20}))\.parquet$/;

/** What an object key says; null for a key that is not of the archive. */
export function parseArchiveKey(objectKey: string): ArchiveKey | null {
  const match = keyPattern.exec(objectKey);
  if (match === null) return null;
  const [, dt = '', hour = '', topic = '', id, partition, first, last] = match;
  const shared = { topic, hour: { dt, hour: Number(hour) } };
  if (id !== undefined) return { ...shared, kind: 'compacted', id };
  return {
    ...shared,
    kind: 'segment',
    partition: Number(partition),
    firstOffset: BigInt(first!),
    lastOffset: BigInt(last!),
  };
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
