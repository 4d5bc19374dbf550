// Makes exp.archive_manifest again from the objects alone: names and file metadata say which offset ranges they hold.
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArchiveHour, archivePrefix, parseArchiveKey, segmentKeyOf } from '#domain/archive/archive-layout.ts';
import { type ArchivedRange, archiveMetadataKeys, parseRanges } from '#domain/archive/archived-ranges.ts';
import { FatalError } from '#platform/errors.ts';
import { openScratchDatabase, quoteText, type ScratchDatabase } from '#platform/parquet/scratch-database.ts';
import { inTransaction, type PoolClient } from '#platform/postgres/pool.ts';
import type { ArchiveCluster } from '../cluster/cluster.ts';

/** An object as it describes itself. */
export type FoundFile = {
  readonly objectKey: string;
  readonly kind: 'segment' | 'compacted';
  readonly hour: ArchiveHour;
  readonly ranges: readonly ArchivedRange[];
  /** When it was compacted, as it says; 0 for segments. */
  readonly writtenAtMs: number;
  readonly rowCount: number;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly times: readonly (Date | null)[];
};

export type RecoveredManifest = {
  readonly segments: number;
  readonly compacted: number;
  /** Objects whose ranges a newer compacted file holds: they were replaced, but not deleted yet. */
  readonly replaced: readonly string[];
  /** Offsets between two known ranges of a partition: dead letters only, or lost. */
  readonly gaps: readonly Gap[];
};

/** With the hour of the range before it. */
export type Gap = {
  readonly partition: number;
  readonly firstOffset: bigint;
  readonly lastOffset: bigint;
  readonly hour: ArchiveHour;
};

export const formatGap = ({ partition, firstOffset, lastOffset }: Gap): string =>
  `partition ${partition}: offsets ${firstOffset} to ${lastOffset}`;

async function describeObject(
  cluster: Pick<ArchiveCluster, 'objectStore'>,
  { connection, folder }: ScratchDatabase,
  objectKey: string,
): Promise<FoundFile> {
  const key = parseArchiveKey(objectKey)!;
  const body = await cluster.objectStore.get(objectKey);
  const path = join(folder, 'object.parquet');
  await writeFile(path, body);
  const facts = await connection.runAndReadAll(
    `SELECT count(*)::DOUBLE, ${['min(event_time)', 'max(event_time)', 'min(append_time)', 'max(append_time)']
      .map((time) => `epoch_ms(${time})::DOUBLE`)
      .join(', ')} FROM read_parquet(${quoteText(path)})`,
  );
  const [rowCount, ...times] = facts.getRowsJS()[0] as [number, ...(number | null)[]];
  const shared = {
    objectKey,
    hour: key.hour,
    rowCount,
    sizeBytes: body.byteLength,
    sha256: createHash('sha256').update(body).digest('hex'),
    times: times.map((time) => (time === null ? null : new Date(time))),
  };
  if (key.kind === 'segment') {
    const { partition, firstOffset, lastOffset } = key;
    const range = { partition, firstOffset, lastOffset, rowCount, deadLetteredCount: 0 };
    return { ...shared, kind: 'segment', ranges: [range], writtenAtMs: 0 };
  }
  const metadata = await connection.runAndReadAll(
    `SELECT decode(key), decode(value) FROM parquet_kv_metadata(${quoteText(path)})`,
  );
  const values = new Map(metadata.getRowsJS() as [string, string][]);
  const ranges = parseRanges(values.get(archiveMetadataKeys.ranges) ?? '');
  const writtenAtMs = Date.parse(values.get(archiveMetadataKeys.writtenAt) ?? '');
  if (ranges === null || Number.isNaN(writtenAtMs))
    throw new FatalError(`${objectKey} does not say which offsets it holds`, { code: 'unexpected' });
  return { ...shared, kind: 'compacted', ranges, writtenAtMs };
}

const covers = (outer: FoundFile, inner: FoundFile): boolean =>
  inner.ranges.every((range) =>
    outer.ranges.some(
      ({ partition, firstOffset, lastOffset }) =>
        partition === range.partition && firstOffset <= range.firstOffset && lastOffset >= range.lastOffset,
    ),
  );

/** Files that readers need, and those that one of these took the place of; pure. */
export function sortFiles(files: readonly FoundFile[]): { current: FoundFile[]; replaced: FoundFile[] } {
  const compacted = files.filter(({ kind }) => kind === 'compacted').toSorted((a, b) => b.writtenAtMs - a.writtenAtMs);
  const current: FoundFile[] = [];
  const replaced: FoundFile[] = [];
  for (const file of [...compacted, ...files.filter(({ kind }) => kind === 'segment')])
    (current.some((newer) => newer.kind === 'compacted' && covers(newer, file)) ? replaced : current).push(file);
  return { current, replaced };
}

/** Gaps and overlaps of the ranges of the current files; pure. */
export function findRangeProblems(current: readonly FoundFile[]): { gaps: Gap[]; overlaps: string[] } {
  const gaps: Gap[] = [];
  const overlaps: string[] = [];
  const byPartition = Map.groupBy(
    current.flatMap(({ ranges, hour }) => ranges.map((range) => ({ ...range, hour }))),
    ({ partition }) => partition,
  );
  for (const [partition, ranges] of [...byPartition].sort(([a], [b]) => a - b)) {
    const sorted = ranges.toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1));
    for (const [index, { firstOffset }] of sorted.entries()) {
      const before = sorted[index - 1];
      if (before === undefined) continue;
      if (firstOffset > before.lastOffset + 1n)
        gaps.push({ partition, firstOffset: before.lastOffset + 1n, lastOffset: firstOffset - 1n, hour: before.hour });
      if (firstOffset <= before.lastOffset)
        overlaps.push(`partition ${partition}: offsets ${firstOffset} to ${before.lastOffset}`);
    }
  }
  return { gaps, overlaps };
}

async function insertFile(tx: PoolClient, topic: string, file: FoundFile): Promise<bigint> {
  const range = file.kind === 'segment' ? file.ranges[0]! : null;
  const inserted = await tx.query<{ id: bigint }>(
    `INSERT INTO exp.archive_manifest (topic, kind, status, object_key, dt, hour, kafka_partition, first_offset, last_offset,
       row_count, duplicate_count, dead_lettered_count, size_bytes, content_sha256, committed_at, event_time_min, event_time_max,
       append_time_min, append_time_max, erasures_applied_at)
     VALUES ($1, $2, 'committed', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, now(), $14, $15, $16, $17, 'epoch')
     RETURNING id`,
    [
      topic,
      file.kind,
      file.objectKey,
      file.hour.dt,
      file.hour.hour,
      range?.partition ?? null,
      range?.firstOffset ?? null,
      range?.lastOffset ?? null,
      file.rowCount,
      file.kind === 'segment' ? null : sumOf(file, 'rowCount') - file.rowCount,
      sumOf(file, 'deadLetteredCount'),
      file.sizeBytes,
      file.sha256,
      ...file.times,
    ],
  );
  return inserted.rows[0]!.id;
}

const sumOf = (file: FoundFile, field: 'rowCount' | 'deadLetteredCount'): number =>
  file.ranges.reduce((sum, range) => sum + range[field], 0);

/** A range without an object of its own: in the compacted file `supersededBy`, or, when that is null, nowhere. */
async function insertRange(
  tx: PoolClient,
  topic: string,
  range: Omit<Gap, 'hour'> & { hour: ArchiveHour; rowCount: number; deadLetteredCount: number | null },
  supersededBy: bigint | null,
): Promise<void> {
  await tx.query(
    `INSERT INTO exp.archive_manifest (topic, kind, status, object_key, dt, hour, kafka_partition, first_offset, last_offset,
       row_count, dead_lettered_count, committed_at, superseded_by, superseded_at, object_removed_at)
     SELECT $1, 'segment', CASE WHEN $10::bigint IS NULL THEN 'committed' ELSE 'superseded' END, $2, $3, $4, $5, $6, $7, $8, $9,
       now(), $10, t.replaced_at, t.replaced_at
     FROM (SELECT CASE WHEN $10::bigint IS NOT NULL THEN now() END) AS t (replaced_at)`,
    [
      topic,
      segmentKeyOf({ topic, ...range }),
      range.hour.dt,
      range.hour.hour,
      range.partition,
      range.firstOffset,
      range.lastOffset,
      range.rowCount,
      range.deadLetteredCount,
      supersededBy,
    ],
  );
}

/**
 * Reads every object and fills the empty manifest in one transaction; with `dryRun` only says what it would be.
 * @throws FatalError when the manifest has rows, when two objects hold the same offsets, and for gaps unless they are accepted.
 */
export async function recoverManifest(
  cluster: ArchiveCluster,
  options: { dryRun: boolean; acceptGaps: boolean; onProgress?: (text: string) => void },
): Promise<RecoveredManifest> {
  const topic = cluster.topicName('events');
  const listed = (await cluster.objectStore.list(archivePrefix)).filter(
    ({ objectKey }) => parseArchiveKey(objectKey)?.topic === topic,
  );
  await using scratch = await openScratchDatabase();
  const files: FoundFile[] = [];
  for (const { objectKey } of listed) {
    files.push(await describeObject(cluster, scratch, objectKey));
    if (files.length % 100 === 0) options.onProgress?.(`${files.length} of ${listed.length} objects read`);
  }
  const { current, replaced } = sortFiles(files);
  const { gaps, overlaps } = findRangeProblems(current);
  if (overlaps.length > 0) throw new FatalError(`objects overlap: ${overlaps.join('; ')}`, { code: 'unexpected' });
  if (gaps.length > 0 && !options.acceptGaps && !options.dryRun) {
    throw new FatalError(
      `offsets are in no object: ${gaps.map(formatGap).join('; ')}. They held dead letters only, or are lost; --accept-gaps goes on without them`,
      { code: 'config-invalid' },
    );
  }
  const compacted = current.filter(({ kind }) => kind === 'compacted');
  if (!options.dryRun) {
    await inTransaction(cluster.pool, async (tx) => {
      const known = await tx.query('SELECT FROM exp.archive_manifest WHERE topic = $1 LIMIT 1', [topic]);
      if (known.rowCount !== 0)
        throw new FatalError('exp.archive_manifest has rows: nothing to recover', { code: 'config-invalid' });
      for (const file of current) {
        const id = await insertFile(tx, topic, file);
        if (file.kind === 'segment') continue;
        for (const range of file.ranges) await insertRange(tx, topic, { ...range, hour: file.hour }, id);
      }
      for (const gap of gaps) await insertRange(tx, topic, { ...gap, rowCount: 0, deadLetteredCount: null }, null);
    });
  }
  return {
    segments: current.length - compacted.length,
    compacted: compacted.length,
    replaced: replaced.map(({ objectKey }) => objectKey),
    gaps,
  };
}
