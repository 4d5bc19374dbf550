// Fills an empty exp.assignments from the compacted topic, in one transaction, so that every unit keeps its variant.
import type { ErasedUnits } from '#domain/archive/erased-units.ts';
import { FatalError } from '#platform/errors.ts';
import { inTransaction, type Pool, type PoolClient } from '#platform/postgres/pool.ts';
import type { AssignmentRecord } from '#schemas/generated/records.ts';
import type { AssignmentTopic } from './read-assignment-topic.ts';

export type RebuildResult = {
  readonly restored: number;
  /** Of units erased since; they stay away. */
  readonly erased: number;
  /** The outbox goes on above it, so that later records win over those in the topic. */
  readonly highestRevision: number;
};

const chunkRows = 5_000;

const insertSql = `INSERT INTO exp.assignments
    (experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version, probability, enrolment_share, source, assigned_at)
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::smallint[], $6::integer[], $7::float8[], $8::float8[],
    $9::text[], $10::timestamptz[])`;

async function insertChunk(tx: PoolClient, rows: readonly AssignmentRecord[]): Promise<void> {
  await tx.query(insertSql, [
    rows.map((row) => row.experiment_id),
    rows.map((row) => row.unit_id),
    rows.map((row) => row.unit_type),
    rows.map((row) => row.variant_id),
    rows.map((row) => row.hash_bucket),
    rows.map((row) => row.experiment_version),
    rows.map((row) => row.probability),
    rows.map((row) => row.enrolment_share),
    rows.map((row) => row.source),
    rows.map((row) => new Date(row.assigned_at).toISOString()),
  ]);
}

/** @throws FatalError when assignments point at variants that are not defined here. */
async function requireVariants(tx: PoolClient, rows: readonly AssignmentRecord[]): Promise<void> {
  const { rows: variants } = await tx.query<{ experiment_id: string; id: string }>(
    'SELECT experiment_id, id FROM exp.variants',
  );
  const known = new Set(variants.map(({ experiment_id, id }) => `${experiment_id} ${id}`));
  const missing = new Map<string, number>();
  for (const { experiment_id, experiment_key, variant_id, variant_name } of rows) {
    if (known.has(`${experiment_id} ${variant_id}`)) continue;
    const name = `${experiment_key}/${variant_name} (experiment ${experiment_id})`;
    missing.set(name, (missing.get(name) ?? 0) + 1);
  }
  if (missing.size === 0) return;
  const list = [...missing].slice(0, 10).map(([name, count]) => `${name}: ${count}`);
  throw new FatalError(
    `nothing was restored: the topic has assignments of variants that are not defined here. Apply the definitions first. ${list.join('; ')}`,
    { code: 'config-invalid' },
  );
}

/**
 * Restores every assignment of the topic that belongs to no erased unit. Services that assign meanwhile wait for the end and then
 * find the restored rows.
 * @throws FatalError when the table is not empty: `reconcile` says what differs then.
 */
export async function rebuildAssignments(
  pool: Pool,
  topic: Pick<AssignmentTopic, 'assignments' | 'highestRevision'>,
  erased: ErasedUnits,
): Promise<RebuildResult> {
  const wanted = [...topic.assignments.values()].filter(
    ({ unit_type, unit_id, assigned_at }) =>
      erased.find({ unit_type, unit_id, ingest_time: assigned_at }) === undefined,
  );
  await inTransaction(pool, async (tx) => {
    await tx.query('LOCK TABLE exp.assignments IN SHARE ROW EXCLUSIVE MODE');
    const { rowCount } = await tx.query('SELECT 1 FROM exp.assignments LIMIT 1');
    if (rowCount !== 0) {
      throw new FatalError(
        'nothing was restored: exp.assignments is not empty, and rows in it are never overwritten. See `ops assignments reconcile`',
        { code: 'config-invalid' },
      );
    }
    await requireVariants(tx, wanted);
    for (let start = 0; start < wanted.length; start += chunkRows) {
      await insertChunk(tx, wanted.slice(start, start + chunkRows));
    }
    // A new database counts from 1: its records would lose against those that the topic has.
    await tx.query(
      `SELECT setval('exp.assignment_outbox_id_seq', greatest($1::bigint, (SELECT last_value FROM exp.assignment_outbox_id_seq)))
       WHERE $1::bigint > 0`,
      [topic.highestRevision],
    );
  });
  return {
    restored: wanted.length,
    erased: topic.assignments.size - wanted.length,
    highestRevision: topic.highestRevision,
  };
}
