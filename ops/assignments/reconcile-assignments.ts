// Compares exp.assignments, the compacted topic and the hash row by row, while services go on assigning.

import { FULL_SHARE } from '#domain/assignment/basis-points.ts';
import { createExperimentBucket } from '#domain/assignment/bucket.ts';
import { planVariantRanges } from '#domain/assignment/variant-ranges.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { listDefinitions } from '#producers/definition-store/definition-rows.ts';
import {
  type AssignmentDifference,
  type AssignmentRow,
  compareAssignment,
  type ExperimentHash,
} from './compare-assignment.ts';
import { type AssignmentTopic, assignmentKey } from './read-assignment-topic.ts';

export type ReconcileResult = {
  readonly rowCount: number;
  readonly recordCount: number;
  readonly differences: readonly AssignmentDifference[];
  /** Differences that are on their way to the topic at this moment, and not counted as such. */
  readonly inMotion: number;
};

type StoredRow = Omit<AssignmentRow, 'assigned_at'> & { assigned_at: Date };

const pageRows = 5_000;

/** Every row in key order, a page at a time, without a long transaction. */
async function* readRows(pool: Pool): AsyncGenerator<AssignmentRow[]> {
  let after = null as { experimentId: string; unitId: string } | null;
  for (;;) {
    const { rows }: { rows: StoredRow[] } = await pool.query<StoredRow>(
      `SELECT experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version, probability, enrolment_share, source,
         assigned_at
       FROM exp.assignments
       WHERE $1::uuid IS NULL OR (experiment_id, unit_id) > ($1::uuid, $2::text)
       ORDER BY experiment_id, unit_id LIMIT ${pageRows}`,
      [after?.experimentId ?? null, after?.unitId ?? null],
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows.map((row) => ({ ...row, assigned_at: row.assigned_at.getTime() }));
    after = { experimentId: last.experiment_id, unitId: last.unit_id };
  }
}

async function loadHashes(pool: Pool): Promise<Map<string, ExperimentHash>> {
  return new Map(
    (await listDefinitions(pool)).map(({ experiment: { experimentId, variants } }) => [
      experimentId,
      { bucketOf: createExperimentBucket(experimentId), fullRanges: planVariantRanges(variants, FULL_SHARE) },
    ]),
  );
}

/** Keys that the relay has published since `since`, or still has to. */
async function findMoving(
  pool: Pool,
  keys: readonly { readonly experimentId: string; readonly unitId: string }[],
  since: Date,
): Promise<Set<string>> {
  const { rows } = await pool.query<{ experiment_id: string; unit_id: string }>(
    `SELECT DISTINCT o.experiment_id, o.unit_id
     FROM unnest($1::uuid[], $2::text[]) AS wanted (experiment_id, unit_id)
     JOIN exp.assignment_outbox o ON o.experiment_id = wanted.experiment_id AND o.unit_id = wanted.unit_id
     WHERE o.published_at IS NULL OR o.published_at >= $3`,
    [keys.map(({ experimentId }) => experimentId), keys.map(({ unitId }) => unitId), since],
  );
  return new Set(rows.map((row) => assignmentKey(row.experiment_id, row.unit_id)));
}

/**
 * Compares everything. `readTopic` reads the topic as it is now. A difference of a key that the outbox moves at this moment is not
 * one: the next run sees how it ended.
 */
export async function reconcileAssignments(
  pool: Pool,
  readTopic: () => Promise<Pick<AssignmentTopic, 'assignments'>>,
): Promise<ReconcileResult> {
  const { rows: clock } = await pool.query<{ now: Date }>('SELECT now() AS now');
  const since = clock[0]?.now ?? new Date(0);
  const hashes = await loadHashes(pool);
  const { assignments } = await readTopic();
  const unseen = new Set(assignments.keys());
  const found: AssignmentDifference[] = [];
  let rowCount = 0;
  for await (const rows of readRows(pool)) {
    rowCount += rows.length;
    for (const row of rows) {
      const key = assignmentKey(row.experiment_id, row.unit_id);
      unseen.delete(key);
      found.push(...compareAssignment(row, assignments.get(key), hashes.get(row.experiment_id)));
    }
  }
  for (const key of unseen) {
    const record = assignments.get(key);
    if (record === undefined) continue;
    found.push({
      experimentId: record.experiment_id,
      unitId: record.unit_id,
      kind: 'missing-in-database',
      detail: `variant ${record.variant_id}, revision ${record.revision}`,
    });
  }
  const ofTopic = found.filter(({ kind }) => kind !== 'hash-differs');
  const moving = ofTopic.length === 0 ? new Set<string>() : await findMoving(pool, ofTopic, since);
  const differences = found.filter(
    ({ kind, experimentId, unitId }) => kind === 'hash-differs' || !moving.has(assignmentKey(experimentId, unitId)),
  );
  return { rowCount, recordCount: assignments.size, differences, inMotion: found.length - differences.length };
}
