// Compares the aggregates with a recount of the stored events, in one snapshot of a running system and without holding it up.
import type { PoolClient } from '#platform/postgres/pool.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { type AggregateTable, aggregateTables, differingKeysSql } from './aggregate-tables.ts';
import { createRecountViews, holdAggregator } from './counted-events.ts';
import { checkWindow, eventScopeSql, isWholeHistory, type TimeWindow, windowScopeSql } from './time-window.ts';

export type TableComparison = {
  readonly table: string;
  readonly rows: number;
  /** Rows that the recount has and the table has not, the other way round, and those with other values. */
  readonly missing: number;
  readonly surplus: number;
  readonly different: number;
  readonly examples: readonly unknown[];
};

export type Comparison = {
  readonly window: TimeWindow;
  readonly tables: readonly TableComparison[];
  /** UTC days with windows that differ. */
  readonly days: readonly string[];
  /** Units whose history differs, by experiment. */
  readonly units: readonly { readonly experimentId: string; readonly unitId: string }[];
  /** Days that retention has dropped: nothing about them can be recounted. */
  readonly droppedDays: readonly string[];
  /** Experiments with events on dropped days: their units cannot be recounted. */
  readonly partialExperiments: readonly string[];
};

export const differenceCount = ({ tables }: Comparison): number =>
  tables.reduce((sum, { missing, surplus, different }) => sum + missing + surplus + different, 0);

/** Rows that can be recounted at all; by column names of the table. */
export function recountableSql(table: AggregateTable): string {
  if (table.day !== null) return `${table.day} NOT IN (SELECT event_date FROM exp.dropped_event_days)`;
  return 'experiment_id NOT IN (SELECT experiment_id FROM pg_temp.partial_experiments)';
}

/** Experiments whose units have events on days that were dropped, as far as aggregates and exposures tell. */
export async function createPartialExperiments(session: PoolClient): Promise<void> {
  await session.query(
    `CREATE TEMPORARY TABLE IF NOT EXISTS partial_experiments (experiment_id uuid NOT NULL) ON COMMIT DELETE ROWS`,
  );
  await session.query(
    `INSERT INTO partial_experiments
     SELECT experiment_id FROM exp.metric_aggregates
     WHERE granularity = 'day' AND (bucket_start AT TIME ZONE 'UTC')::date IN (SELECT event_date FROM exp.dropped_event_days)
     UNION
     SELECT experiment_id FROM exp.first_exposures
     WHERE EXISTS (SELECT FROM exp.dropped_event_days)
       AND (first_exposed_at AT TIME ZONE 'UTC')::date IN (SELECT event_date FROM exp.dropped_event_days)`,
  );
}

async function compareTable(session: PoolClient, table: AggregateTable, window: TimeWindow): Promise<TableComparison> {
  const inWindow = table.day === null ? 'true' : windowScopeSql(table, window);
  const scope = `${inWindow} AND ${recountableSql(table)}`;
  await session.query(
    `CREATE TEMPORARY TABLE differing_${table.name} ON COMMIT DROP AS ${differingKeysSql(table, scope)}`,
  );
  const counted = await session.query<{ rows: bigint; missing: bigint; surplus: bigint; different: bigint }>(
    `SELECT (SELECT count(*) FROM exp.${table.name} WHERE ${scope}) AS rows, count(*) FILTER (WHERE is_missing) AS missing,
       count(*) FILTER (WHERE is_surplus) AS surplus, count(*) FILTER (WHERE NOT is_missing AND NOT is_surplus) AS different
     FROM pg_temp.differing_${table.name}`,
  );
  const examples = await session.query(
    `SELECT * FROM pg_temp.differing_${table.name} ORDER BY ${table.keys.join(', ')} LIMIT 5`,
  );
  const { rows, missing, surplus, different } = counted.rows[0]!;
  return {
    table: table.name,
    rows: Number(rows),
    missing: Number(missing),
    surplus: Number(surplus),
    different: Number(different),
    examples: examples.rows,
  };
}

/** The snapshot is taken while every counted event is stored; from then on nobody waits. */
async function openSnapshot(cluster: Cluster, session: PoolClient): Promise<void> {
  const holder = await cluster.pool.connect();
  try {
    await holder.query('BEGIN');
    await holdAggregator(holder, cluster);
    await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await session.query('SELECT now()');
  } finally {
    await holder.query('ROLLBACK').catch(() => undefined);
    holder.release();
  }
}

/**
 * Windows and days inside the window; units, which have one row for their whole history, only when the window is open on both
 * sides. @throws FatalError for a window that is not at full hours; RetryableError when the sink is too far behind.
 */
export async function compareAggregates(cluster: Cluster, window: TimeWindow): Promise<Comparison> {
  checkWindow(window);
  const session = await cluster.pool.connect();
  try {
    await openSnapshot(cluster, session);
    await createRecountViews(session, eventScopeSql(window));
    await createPartialExperiments(session);
    const compared = aggregateTables.filter(({ day }) => day !== null || isWholeHistory(window));
    const tables: TableComparison[] = [];
    for (const table of compared) tables.push(await compareTable(session, table, window));
    const union = (wanted: readonly AggregateTable[], columns: (table: AggregateTable) => string): string =>
      wanted.map((table) => `SELECT ${columns(table)} FROM pg_temp.differing_${table.name}`).join(' UNION ');
    const days = await session.query<{ day: string }>(
      `${union(
        compared.filter(({ day }) => day !== null),
        ({ day }) => `${day} AS day`,
      )} ORDER BY day`,
    );
    const ofUnits = compared.filter(({ day }) => day === null);
    const units =
      ofUnits.length === 0
        ? []
        : (
            await session.query<{ experiment_id: string; unit_id: string }>(
              union(ofUnits, () => 'experiment_id, unit_id'),
            )
          ).rows;
    const dropped = await session.query<{ event_date: string }>(
      'SELECT event_date FROM exp.dropped_event_days ORDER BY event_date',
    );
    const partial = await session.query<{ experiment_id: string }>('SELECT experiment_id FROM partial_experiments');
    return {
      window,
      tables,
      days: days.rows.map(({ day }) => day),
      units: units.map(({ experiment_id, unit_id }) => ({ experimentId: experiment_id, unitId: unit_id })),
      droppedDays: dropped.rows.map(({ event_date }) => event_date),
      partialExperiments: partial.rows.map(({ experiment_id }) => experiment_id),
    };
  } finally {
    // Its transaction and its temporary views end with the session.
    session.release(true);
  }
}
