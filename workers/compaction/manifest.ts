// The manifest as compaction sees it: what there is to do, the claim of a new file, the swap, what has been replaced long enough.
import type { ArchivedRange } from '#domain/archive/archived-ranges.ts';
import { FatalError } from '#platform/errors.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';
import { trySessionLock } from '#platform/postgres/session-lock.ts';
import type { ManifestRow } from './plan-compaction.ts';
import type { CompactedFile } from './write-compacted.ts';

export type NewFile = {
  readonly objectKey: string;
  readonly dt: string;
  readonly hour: number;
  readonly inputs: readonly ManifestRow[];
  readonly erasedUntil: Date;
};

export type RemovableObject = { readonly id: bigint; readonly objectKey: string };

/** An input was replaced, or the claim taken away, since this compaction looked: another one runs. */
export class SwapLostError extends Error {}

type Row = {
  id: bigint;
  kind: ManifestRow['kind'];
  object_key: string;
  dt: string;
  hour: number;
  kafka_partition: number | null;
  first_offset: bigint | null;
  row_count: bigint;
  dead_lettered_count: bigint | null;
  size_bytes: bigint | null;
  erased_until: Date;
};

/** Objects of hours that ended at least `settleMs` ago, by broker append time. */
export async function listClosedHours(pool: Pool, topic: string, settleMs: number): Promise<ManifestRow[]> {
  const found = await pool.query<Row>(
    `SELECT id, kind, object_key, dt, hour, kafka_partition, first_offset, row_count, dead_lettered_count, size_bytes,
       coalesce(erasures_applied_at, committed_at) AS erased_until
     FROM exp.archive_manifest
     WHERE topic = $1 AND status = 'committed'
       AND (dt + make_interval(hours => hour + 1)) AT TIME ZONE 'UTC' + make_interval(secs => $2) <= now()`,
    [topic, settleMs / 1000],
  );
  return found.rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    objectKey: row.object_key,
    dt: row.dt,
    hour: row.hour,
    partition: row.kafka_partition,
    firstOffset: row.first_offset,
    rowCount: Number(row.row_count),
    deadLetteredCount: Number(row.dead_lettered_count ?? 0n),
    sizeBytes: Number(row.size_bytes ?? 0n),
    erasedUntil: row.erased_until,
  }));
}

/** Offset ranges that the objects stand for, also through files that were compacted before. */
export async function listRanges(pool: Pool, ids: readonly bigint[]): Promise<ArchivedRange[]> {
  const found = await pool.query<{
    kafka_partition: number;
    first_offset: bigint;
    last_offset: bigint;
    row_count: bigint;
    dead_lettered_count: bigint | null;
  }>(
    `WITH RECURSIVE made_of AS (
       SELECT * FROM exp.archive_manifest WHERE id = ANY ($1::bigint[])
       UNION ALL
       SELECT m.* FROM exp.archive_manifest m JOIN made_of f ON m.superseded_by = f.id
     )
     SELECT kafka_partition, first_offset, last_offset, row_count, dead_lettered_count FROM made_of WHERE kind = 'segment'`,
    [ids],
  );
  return found.rows.map((row) => ({
    partition: row.kafka_partition,
    firstOffset: row.first_offset,
    lastOffset: row.last_offset,
    rowCount: Number(row.row_count),
    deadLetteredCount: Number(row.dead_lettered_count ?? 0n),
  }));
}

/** Before the upload, so that a compaction that dies leaves a trace of its object. */
export async function claimFile(pool: Pool, topic: string, file: NewFile): Promise<bigint> {
  const inserted = await pool.query<{ id: bigint }>(
    `INSERT INTO exp.archive_manifest (topic, status, kind, object_key, dt, hour) VALUES ($1, 'claimed', 'compacted', $2, $3, $4)
     RETURNING id`,
    [topic, file.objectKey, file.dt, file.hour],
  );
  return inserted.rows[0]!.id;
}

/**
 * Puts the file in the place of its inputs, for all readers at once.
 * @throws SwapLostError when an input or the claim is not as it was: nothing is changed.
 */
export async function swapFile(
  pool: Pool,
  claimId: bigint,
  file: NewFile,
  written: Omit<CompactedFile, 'body'> & { sizeBytes: number },
): Promise<void> {
  const { inputs } = file;
  const before = inputs.reduce((sum, { rowCount }) => sum + rowCount, 0);
  const deadLettered = inputs.reduce((sum, { deadLetteredCount }) => sum + deadLetteredCount, 0);
  await inTransaction(pool, async (tx) => {
    const committed = await tx.query(
      `UPDATE exp.archive_manifest SET status = 'committed', committed_at = now(), row_count = $2, duplicate_count = $3,
         dead_lettered_count = $4, size_bytes = $5, content_sha256 = $6, event_time_min = $7, event_time_max = $8,
         append_time_min = $9, append_time_max = $10, erasures_applied_at = $11
       WHERE id = $1 AND status = 'claimed'`,
      [
        claimId,
        written.rowCount,
        before - written.rowCount,
        deadLettered,
        written.sizeBytes,
        written.sha256,
        written.eventTime.min,
        written.eventTime.max,
        written.appendTime.min,
        written.appendTime.max,
        file.erasedUntil,
      ],
    );
    const superseded = await tx.query(
      `UPDATE exp.archive_manifest SET status = 'superseded', superseded_by = $1, superseded_at = now()
       WHERE id = ANY ($2::bigint[]) AND status = 'committed'`,
      [claimId, inputs.map(({ id }) => id)],
    );
    if (committed.rowCount !== 1 || superseded.rowCount !== inputs.length)
      throw new SwapLostError(`another compaction has replaced inputs of ${file.objectKey}`);
    // Commit point: from here on readers find the new file, and only it.
  });
}

/** The object holds none of the units erased before this time. */
export async function markErasuresApplied(pool: Pool, id: bigint, erasedUntil: Date): Promise<void> {
  await pool.query(`UPDATE exp.archive_manifest SET erasures_applied_at = $2 WHERE id = $1 AND status = 'committed'`, [
    id,
    erasedUntil,
  ]);
}

/** Claims of compactions that died. Only to be asked while no other compaction runs. */
export async function listAbandonedClaims(pool: Pool, topic: string): Promise<RemovableObject[]> {
  const found = await pool.query<{ id: bigint; object_key: string }>(
    `SELECT id, object_key FROM exp.archive_manifest WHERE topic = $1 AND kind = 'compacted' AND status = 'claimed' ORDER BY id`,
    [topic],
  );
  return found.rows.map(({ id, object_key }) => ({ id, objectKey: object_key }));
}

export async function removeClaim(pool: Pool, id: bigint): Promise<void> {
  await pool.query(`DELETE FROM exp.archive_manifest WHERE id = $1 AND kind = 'compacted' AND status = 'claimed'`, [
    id,
  ]);
}

/** Objects that were replaced at least `graceMs` ago, and those that the retention policy has expired. */
export async function listRemovable(pool: Pool, topic: string, graceMs: number): Promise<RemovableObject[]> {
  const found = await pool.query<{ id: bigint; object_key: string }>(
    `SELECT id, object_key FROM exp.archive_manifest
     WHERE topic = $1 AND object_removed_at IS NULL
       AND (status = 'expired' OR status = 'superseded' AND superseded_at + make_interval(secs => $2) <= now()) ORDER BY id`,
    [topic, graceMs / 1000],
  );
  return found.rows.map(({ id, object_key }) => ({ id, objectKey: object_key }));
}

export async function markRemoved(pool: Pool, id: bigint): Promise<void> {
  await pool.query('UPDATE exp.archive_manifest SET object_removed_at = now() WHERE id = $1', [id]);
}

/** Takes objects of days before the limit away from readers; their offset ranges stay on record. The number of objects. */
export async function expireDays(pool: Pool, topic: string, retentionDays: number): Promise<number> {
  const expired = await pool.query(
    `UPDATE exp.archive_manifest SET status = 'expired'
     WHERE topic = $1 AND status = 'committed' AND dt < (now() AT TIME ZONE 'UTC')::date - $2::int`,
    [topic, retentionDays],
  );
  return expired.rowCount ?? 0;
}

/** Number of objects that `expireDays` would expire. */
export async function countExpirable(pool: Pool, topic: string, retentionDays: number): Promise<number> {
  const found = await pool.query<{ count: bigint }>(
    `SELECT count(*) AS count FROM exp.archive_manifest
     WHERE topic = $1 AND status = 'committed' AND dt < (now() AT TIME ZONE 'UTC')::date - $2::int`,
    [topic, retentionDays],
  );
  return Number(found.rows[0]!.count);
}

/** Runs the work while no other compaction of this database does. @throws FatalError when one does. */
export async function whileAlone<T>(pool: Pool, work: () => Promise<T>): Promise<T> {
  const done = await trySessionLock(pool, 'compaction', work);
  if (done === null) throw new FatalError('another compaction is running', { code: 'config-invalid' });
  return done.result;
}
