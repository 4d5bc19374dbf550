// One compaction of the archive: closed hours into large sorted files, erased units out of old ones, replaced objects removed.
import { randomUUID } from 'node:crypto';
import { compactedKeyOf } from '#domain/archive/archive-layout.ts';
import { createErasedUnits, type ErasedUnits } from '#domain/archive/erased-units.ts';
import { erasureKeyFingerprint } from '#domain/erasure/pseudonymize-event.ts';
import { downloadObjects } from '#platform/object-store/download-objects.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import { openScratchDatabase } from '#platform/parquet/scratch-database.ts';
import { readErasures, requireErasureKey } from '#platform/postgres/erasures.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import {
  claimFile,
  countExpirable,
  expireDays,
  listAbandonedClaims,
  listClosedHours,
  listRanges,
  listRemovable,
  markErasuresApplied,
  markRemoved,
  removeClaim,
  SwapLostError,
  swapFile,
  whileAlone,
} from './manifest.ts';
import { type CompactionUnit, planCompaction } from './plan-compaction.ts';
import { findErasedUnits, writeCompactedFile } from './write-compacted.ts';

export type CompactionDeps = {
  pool: Pool;
  objectStore: Pick<ObjectStore, 'get' | 'put' | 'delete'>;
  topic: string;
  erasureKey: string;
  settleMs: number;
  graceMs: number;
  maxRows: number;
  maxBytes: number;
  /** Objects of older days are expired; none when absent. */
  retentionDays: number | undefined;
  onProgress?: (text: string) => void;
  /** Ends the work after the file that is being written. */
  signal?: AbortSignal;
};

export type CompactionReport = {
  readonly hours: number;
  /** Files written, and the objects that they took the place of. */
  readonly files: number;
  readonly replacedObjects: number;
  readonly rows: number;
  readonly duplicates: number;
  /** Units erased since their events were archived, in files that were written again. */
  readonly erasedUnits: number;
  readonly expiredObjects: number;
  readonly removedObjects: number;
  /** False when it was told to stop before everything was done. */
  readonly complete: boolean;
};

type Erasures = { readonly units: ErasedUnits; readonly readAt: Date; readonly latestAt: Date | null };
type Written = Pick<CompactionReport, 'files' | 'replacedObjects' | 'rows' | 'duplicates' | 'erasedUnits'>;

const nothingWritten: Written = { files: 0, replacedObjects: 0, rows: 0, duplicates: 0, erasedUnits: 0 };

async function loadErasures(pool: Pool, key: string): Promise<Erasures> {
  await requireErasureKey(pool, erasureKeyFingerprint(key));
  const { readAt, erasures } = await readErasures(pool);
  const latestMs = erasures.reduce((latest, { erasedAtMs }) => Math.max(latest, erasedAtMs), Number.NEGATIVE_INFINITY);
  return {
    units: createErasedUnits(erasures, key),
    readAt,
    latestAt: erasures.length === 0 ? null : new Date(latestMs),
  };
}

const planWork = async (deps: CompactionDeps, latestErasureAt: Date | null): Promise<CompactionUnit[]> =>
  planCompaction(await listClosedHours(deps.pool, deps.topic, deps.settleMs), { ...deps, latestErasureAt });

/** What a compaction would do now. */
export async function findCompactionWork(
  deps: CompactionDeps,
): Promise<{ units: CompactionUnit[]; expirableObjects: number; removableObjects: number }> {
  const { latestAt } = await loadErasures(deps.pool, deps.erasureKey);
  const { pool, topic, retentionDays } = deps;
  return {
    units: await planWork(deps, latestAt),
    expirableObjects: retentionDays === undefined ? 0 : await countExpirable(pool, topic, retentionDays),
    removableObjects: (await listRemovable(pool, topic, deps.graceMs)).length,
  };
}

/** Downloads the inputs of a unit and puts one file in their place; a `check` without an erased unit is only marked. */
async function compactUnit(deps: CompactionDeps, unit: CompactionUnit, erasures: Erasures): Promise<Written> {
  const { pool, objectStore, topic } = deps;
  const { dt, hour, inputs } = unit;
  await using scratch = await openScratchDatabase();
  const objectKeys = inputs.filter(({ rowCount }) => rowCount > 0).map(({ objectKey }) => objectKey);
  const paths = await downloadObjects(objectStore, objectKeys, scratch.folder);
  const erasedUnits = await findErasedUnits(scratch.connection, paths, erasures.units);
  if (unit.kind === 'check' && erasedUnits === 0) {
    await markErasuresApplied(pool, inputs[0]!.id, erasures.readAt);
    return nothingWritten;
  }
  const ranges = await listRanges(
    pool,
    inputs.map(({ id }) => id),
  );
  const { body, ...written } = await writeCompactedFile(scratch, {
    paths,
    topic,
    ranges,
    writtenAt: erasures.readAt,
  });
  const objectKey = compactedKeyOf({ topic, hour: { dt, hour }, id: randomUUID() });
  const file = { objectKey, dt, hour, inputs, erasedUntil: erasures.readAt };
  const claimId = await claimFile(pool, topic, file);
  await objectStore.put(objectKey, body, { contentType: 'application/vnd.apache.parquet' });
  try {
    await swapFile(pool, claimId, file, { ...written, sizeBytes: body.byteLength });
  } catch (error) {
    if (error instanceof SwapLostError) {
      await objectStore.delete(objectKey);
      await removeClaim(pool, claimId);
    }
    throw error;
  }
  const before = inputs.reduce((sum, { rowCount }) => sum + rowCount, 0);
  const { rowCount } = written;
  return { files: 1, replacedObjects: objectKeys.length, rows: rowCount, duplicates: before - rowCount, erasedUnits };
}

async function removeObjects(deps: CompactionDeps): Promise<number> {
  const removable = await listRemovable(deps.pool, deps.topic, deps.graceMs);
  for (const { id, objectKey } of removable) {
    // Deleting an object that is gone is no error: a crash between the two steps is repaired by the next run.
    await deps.objectStore.delete(objectKey);
    await markRemoved(deps.pool, id);
  }
  return removable.length;
}

/**
 * Does all the work that there is, one file at a time; safe to kill at any moment and to repeat.
 * @throws FatalError when another compaction runs.
 */
export async function compactArchive(deps: CompactionDeps): Promise<CompactionReport> {
  const { pool, topic, retentionDays } = deps;
  return whileAlone(pool, async () => {
    for (const { id, objectKey } of await listAbandonedClaims(pool, topic)) {
      await deps.objectStore.delete(objectKey);
      await removeClaim(pool, id);
    }
    const expiredObjects = retentionDays === undefined ? 0 : await expireDays(pool, topic, retentionDays);
    const erasures = await loadErasures(pool, deps.erasureKey);
    const units = await planWork(deps, erasures.latestAt);
    let total = nothingWritten;
    let done = 0;
    for (const unit of units) {
      if (deps.signal?.aborted === true) break;
      const written = await compactUnit(deps, unit, erasures);
      total = {
        files: total.files + written.files,
        replacedObjects: total.replacedObjects + written.replacedObjects,
        rows: total.rows + written.rows,
        duplicates: total.duplicates + written.duplicates,
        erasedUnits: total.erasedUnits + written.erasedUnits,
      };
      done += 1;
      deps.onProgress?.(
        `${unit.dt} hour ${unit.hour}: ${written.replacedObjects} objects, ${written.rows} rows (${done}/${units.length})`,
      );
    }
    return {
      hours: new Set(units.slice(0, done).map(({ dt, hour }) => `${dt} ${hour}`)).size,
      ...total,
      expiredObjects,
      removedObjects: await removeObjects(deps),
      complete: done === units.length,
    };
  });
}
