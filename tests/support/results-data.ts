// Rows for tests of results: assignments and events as the sink stores them, and the aggregator's tables by the batch recount.
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Pool } from '#platform/postgres/pool.ts';

export type TestEvent = {
  readonly unitId: string;
  readonly variantId: string;
  readonly type: string;
  readonly atMs: number;
  readonly metrics?: Readonly<Record<string, number>>;
  readonly context?: Readonly<Record<string, unknown>>;
};

export type TestAssignment = {
  readonly unitId: string;
  readonly variantId: string;
  readonly atMs: number;
  readonly source?: 'hashed' | 'forced';
};

export async function storeAssignments(
  pool: Pool,
  experimentId: string,
  rows: readonly TestAssignment[],
  unitType = 'user',
): Promise<void> {
  await pool.query(
    `INSERT INTO exp.assignments (experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version, probability,
       enrolment_share, source, assigned_at)
     SELECT $1, u, $2, v, 0, 1, 0.5, 1, s, t FROM unnest($3::text[], $4::uuid[], $5::text[], $6::timestamptz[]) AS r (u, v, s, t)`,
    [
      experimentId,
      unitType,
      rows.map(({ unitId }) => unitId),
      rows.map(({ variantId }) => variantId),
      rows.map(({ source }) => source ?? 'hashed'),
      rows.map(({ atMs }) => new Date(atMs)),
    ],
  );
}

/** Stores events that name the experiment; one whose variant contradicts the stored assignment is marked, as the sink does. */
export async function storeEvents(
  pool: Pool,
  experimentId: string,
  events: readonly TestEvent[],
  unitType = 'user',
): Promise<void> {
  const days = new Set(events.map(({ atMs }) => new Date(atMs).toISOString().slice(0, 10)));
  for (const day of days) await pool.query('SELECT exp.ensure_event_day($1)', [day]);
  await pool.query(
    `INSERT INTO exp.events (event_date, event_id, event_type, unit_type, unit_id, experiments, context, metrics, event_time,
       created_at, producer, mismatched_experiment_ids, source_topic, source_partition, source_offset)
     SELECT r.at::date, r.id, r.type, $2, r.unit_id,
       jsonb_build_array(jsonb_build_object('experiment_id', $1::uuid, 'variant_id', r.variant_id)), r.context, r.metrics, r.at, now(),
       'test', CASE WHEN a.variant_id <> r.variant_id THEN ARRAY[$1::uuid] END, 'test', 0, r.position
     FROM unnest($3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::timestamptz[], $8::jsonb[], $9::jsonb[]) WITH ORDINALITY
       AS r (id, type, unit_id, variant_id, at, context, metrics, position)
     LEFT JOIN exp.assignments a ON a.experiment_id = $1 AND a.unit_id = r.unit_id`,
    [
      experimentId,
      unitType,
      events.map(() => randomUUID()),
      events.map(({ type }) => type),
      events.map(({ unitId }) => unitId),
      events.map(({ variantId }) => variantId),
      events.map(({ atMs }) => new Date(atMs)),
      events.map(({ context }) => JSON.stringify(context ?? {})),
      events.map(({ metrics }) => JSON.stringify(metrics ?? {})),
    ],
  );
}

/** Fills first exposures and per-unit sums from all stored events, as the streaming group would have. */
export async function fillUnitTables(pool: Pool): Promise<void> {
  const recount = await readFile(new URL('../../analytics/recount.sql', import.meta.url), 'utf8');
  const client = await pool.connect();
  try {
    await client.query(recount);
    await client.query(`TRUNCATE exp.first_exposures, exp.unit_metrics, exp.unit_pending_metrics, exp.unit_daily_metrics;
      INSERT INTO exp.first_exposures (experiment_id, unit_id, variant_id, first_exposed_at) TABLE pg_temp.recount_first_exposures;
      UPDATE exp.first_exposures f SET assigned_variant_id = a.variant_id, assigned_at = a.assigned_at FROM exp.assignments a
        WHERE a.experiment_id = f.experiment_id AND a.unit_id = f.unit_id;
      INSERT INTO exp.unit_metrics (experiment_id, variant_id, unit_id, metric_name, count, sum, min, max) TABLE pg_temp.recount_unit_metrics;
      INSERT INTO exp.unit_daily_metrics (unit_type, unit_id, metric_name, day, count, sum, min, max)
        TABLE pg_temp.recount_unit_daily_metrics`);
  } finally {
    client.release(true);
  }
}
