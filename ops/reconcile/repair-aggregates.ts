// Makes the aggregates those of the recount: one day or some units at a time, while no flush of the aggregator can commit.
import type { PoolClient } from '#platform/postgres/pool.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { actOnGroup } from '../groups/act-on-group.ts';
import { type AggregateTable, aggregateTables, repairStatements } from './aggregate-tables.ts';
import { type Comparison, createPartialExperiments, recountableSql } from './compare-aggregates.ts';
import { createRecountViews, holdAggregator } from './counted-events.ts';
import { eventScopeSql, type TimeWindow, windowScopeSql } from './time-window.ts';

/** Rows written and rows removed, by table. */
export type RepairCounts = Readonly<Record<string, { readonly written: number; readonly removed: number }>>;

export type Acting = { readonly actor: string; readonly because: string | null };

const unitsPerStep = 5_000;

async function repairTable(
  tx: PoolClient,
  table: AggregateTable,
  scope: string,
): Promise<{ written: number; removed: number }> {
  const { recount, remove, upsert } = repairStatements(table, `${scope} AND ${recountableSql(table)}`);
  await tx.query(recount);
  const removed = await tx.query(remove);
  const written = await tx.query(upsert);
  return { written: written.rowCount ?? 0, removed: removed.rowCount ?? 0 };
}

function addCounts(
  total: Record<string, { written: number; removed: number }>,
  table: string,
  counts: { written: number; removed: number },
): void {
  const before = total[table] ?? { written: 0, removed: 0 };
  total[table] = { written: before.written + counts.written, removed: before.removed + counts.removed };
}

/**
 * Repairs what a comparison found. Each step is one transaction that holds the aggregator's positions, so that its members wait,
 * then roll back, read their positions again and forget what they remembered. Safe to stop and to repeat.
 */
export async function repairAggregates(
  cluster: Cluster,
  comparison: Comparison,
  acting: Acting & { onProgress?: (text: string) => void },
): Promise<RepairCounts> {
  const total: Record<string, { written: number; removed: number }> = {};
  const step = async (
    detail: Readonly<Record<string, unknown>>,
    work: (tx: PoolClient) => Promise<void>,
  ): Promise<void> => {
    const { actor, because } = acting;
    await actOnGroup(
      cluster,
      { group: 'metrics-aggregator', action: 'aggregates.repair', actor, because, detail },
      async (tx) => {
        await holdAggregator(tx, cluster);
        // An erasure in the middle would move units between what is recounted and what is stored.
        await tx.query('SELECT exp.share_erasure_lock()');
        await createPartialExperiments(tx);
        await work(tx);
      },
    );
  };

  for (const day of comparison.days) {
    const window = narrowToDay(comparison.window, day);
    await step({ day }, async (tx) => {
      await createRecountViews(tx, eventScopeSql(window));
      for (const table of aggregateTables) {
        if (table.day !== null)
          addCounts(total, table.name, await repairTable(tx, table, windowScopeSql(table, window)));
      }
    });
    acting.onProgress?.(`day ${day} repaired`);
  }
  for (let start = 0; start < comparison.units.length; start += unitsPerStep) {
    const units = comparison.units.slice(start, start + unitsPerStep);
    await step({ units: units.length }, async (tx) => {
      await tx.query('CREATE TEMPORARY TABLE repaired_units (experiment_id uuid, unit_id text) ON COMMIT DROP');
      await tx.query('INSERT INTO repaired_units SELECT * FROM unnest($1::uuid[], $2::text[])', [
        units.map(({ experimentId }) => experimentId),
        units.map(({ unitId }) => unitId),
      ]);
      await createRecountViews(tx, 'e.unit_id IN (SELECT unit_id FROM pg_temp.repaired_units)');
      const scope = '(experiment_id, unit_id) IN (SELECT experiment_id, unit_id FROM pg_temp.repaired_units)';
      for (const table of aggregateTables) {
        if (table.day === null) addCounts(total, table.name, await repairTable(tx, table, scope));
      }
    });
    acting.onProgress?.(`${start + units.length} of ${comparison.units.length} units repaired`);
  }
  return total;
}

/** The part of the window that is on the day. */
function narrowToDay({ from, to }: TimeWindow, day: string): TimeWindow {
  const start = new Date(`${day}T00:00:00Z`);
  const end = new Date(start.getTime() + 86_400_000);
  return { from: from !== null && from > start ? from : start, to: to !== null && to < end ? to : end };
}
