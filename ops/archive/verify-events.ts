// The events of the archive against exp.events, by identity: each one in both, as far as both groups have read.
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { classifyError, describeError } from '#platform/errors.ts';
import { downloadObjects } from '#platform/object-store/download-objects.ts';
import { openScratchDatabase, quoteText, type ScratchDatabase } from '#platform/parquet/scratch-database.ts';
import { copyOut } from '#platform/postgres/copy-out.ts';
import type { ArchiveCluster } from '../cluster/cluster.ts';
import type { ArchiveProblem } from './verify-manifest.ts';

/** Event days, `from` inclusive and `to` exclusive. */
export type DayWindow = { readonly from: string; readonly to: string };

export type EventReport = {
  readonly archived: number;
  readonly stored: number;
  readonly problems: readonly ArchiveProblem[];
};

const examplesPerProblem = 5;

type Position = { group: string; partition: number; next: bigint };

async function loadStored(cluster: ArchiveCluster, { connection, folder }: ScratchDatabase, window: DayWindow) {
  const path = join(folder, 'stored.csv');
  const client = await cluster.pool.connect();
  try {
    // COPY takes no parameters; the days were checked when they were parsed.
    const stream = copyOut(
      client,
      `COPY (SELECT event_date, event_id, source_partition, source_offset FROM exp.events
         WHERE event_date >= '${window.from}'::date AND event_date < '${window.to}'::date
           AND source_topic = '${cluster.topicName('events')}') TO STDOUT (FORMAT csv)`,
    );
    await pipeline(stream, createWriteStream(path));
  } finally {
    client.release();
  }
  await connection.run(
    `CREATE TEMP TABLE stored AS SELECT * FROM read_csv(${quoteText(path)}, auto_detect = false, header = false, columns = {
       'event_date': 'DATE', 'event_id': 'VARCHAR', 'kafka_partition': 'INTEGER', 'kafka_offset': 'BIGINT'})`,
  );
  await rm(path);
}

/** Objects that cannot be read, each with why. */
async function loadArchived(
  cluster: ArchiveCluster,
  { connection, folder }: ScratchDatabase,
  window: DayWindow,
): Promise<string[]> {
  const manifest = await cluster.pool.query<{ object_key: string }>(
    `SELECT object_key FROM exp.archive_manifest
     WHERE topic = $1 AND status = 'committed' AND row_count > 0
       AND event_time_max >= $2::date AND event_time_min < $3::date ORDER BY object_key`,
    [cluster.topicName('events'), window.from, window.to],
  );
  await connection.run(
    'CREATE TEMP TABLE archived (event_date DATE, event_id VARCHAR, kafka_partition INTEGER, kafka_offset BIGINT)',
  );
  const unreadable: string[] = [];
  for (const { object_key } of manifest.rows) {
    try {
      const [path] = await downloadObjects(cluster.objectStore, [object_key], folder);
      await connection.run(
        `INSERT INTO archived SELECT event_date, event_id, kafka_partition, kafka_offset FROM read_parquet(${quoteText(path!)})
         WHERE event_date >= ${quoteText(window.from)} AND event_date < ${quoteText(window.to)}`,
      );
      await rm(path!);
    } catch (error) {
      if (classifyError(error) === 'retryable') throw error;
      unreadable.push(`${object_key} cannot be read: ${describeError(error).split('\n')[0]}`);
    }
  }
  return unreadable;
}

/** Identities of one side that the other does not have, of records below the position of the group that fills the other. */
async function findMissing(
  { connection }: ScratchDatabase,
  sides: { of: 'archived' | 'stored'; missingIn: 'archived' | 'stored'; below: readonly Position[] },
): Promise<{ count: number; examples: string[] }> {
  const positions = sides.below.map(({ partition, next }) => `(${partition}, ${next})`).join(', ');
  if (positions === '') return { count: 0, examples: [] };
  const found = await connection.runAndReadAll(
    `SELECT count(*) OVER ()::DOUBLE, event_id || ' of ' || event_date::VARCHAR || ' at ' || kafka_partition || ':' || kafka_offset
     FROM (SELECT event_date, event_id, arg_min(kafka_partition, kafka_offset) AS kafka_partition, min(kafka_offset) AS kafka_offset
           FROM ${sides.of} o JOIN (VALUES ${positions}) p (kafka_partition, next_offset) USING (kafka_partition)
           WHERE kafka_offset < next_offset GROUP BY ALL)
     ANTI JOIN ${sides.missingIn} USING (event_date, event_id)
     ORDER BY 2 LIMIT ${examplesPerProblem}`,
  );
  const rows = found.getRowsJS() as [number, string][];
  return { count: rows[0]?.[0] ?? 0, examples: rows.map(([, text]) => text) };
}

/** Takes away what a retention policy has removed from one side: it need not be in the other. */
async function leaveOutExpired(cluster: ArchiveCluster, { connection }: ScratchDatabase): Promise<void> {
  const dropped = await cluster.pool.query<{ event_date: string }>('SELECT event_date FROM exp.dropped_event_days');
  for (const { event_date } of dropped.rows) {
    for (const side of ['archived', 'stored'])
      await connection.run(`DELETE FROM ${side} WHERE event_date = ${quoteText(event_date)}`);
  }
  const expired = await cluster.pool.query<{ kafka_partition: number; first_offset: bigint; last_offset: bigint }>(
    `WITH RECURSIVE gone AS (
       SELECT * FROM exp.archive_manifest WHERE topic = $1 AND status = 'expired'
       UNION ALL
       SELECT m.* FROM exp.archive_manifest m JOIN gone g ON m.superseded_by = g.id
     )
     SELECT kafka_partition, first_offset, last_offset FROM gone WHERE kind = 'segment'`,
    [cluster.topicName('events')],
  );
  for (const { kafka_partition, first_offset, last_offset } of expired.rows) {
    await connection.run(
      `DELETE FROM stored WHERE kafka_partition = ${kafka_partition} AND kafka_offset BETWEEN ${first_offset} AND ${last_offset}`,
    );
  }
}

export async function verifyEvents(cluster: ArchiveCluster, window: DayWindow): Promise<EventReport> {
  const topic = cluster.topicName('events');
  // Read before both sides: what lies below these positions is in both, whatever is written meanwhile.
  const positions = await cluster.pool.query<Position>(
    `SELECT consumer_group AS group, kafka_partition AS partition, next_offset AS next FROM exp.consumer_offsets WHERE topic = $1`,
    [topic],
  );
  const below = (group: 'postgres-sink' | 'parquet-archiver'): Position[] =>
    positions.rows.filter((position) => position.group === cluster.groupName(group));
  await using scratch = await openScratchDatabase();
  await loadStored(cluster, scratch, window);
  const unreadable = await loadArchived(cluster, scratch, window);
  await leaveOutExpired(cluster, scratch);
  const counted = await scratch.connection.runAndReadAll(
    `SELECT (SELECT count(DISTINCT (event_date, event_id)) FROM archived)::DOUBLE, (SELECT count(*) FROM stored)::DOUBLE`,
  );
  const [archived, stored] = counted.getRowsJS()[0] as [number, number];
  if (unreadable.length > 0) {
    // What they hold would look missing.
    return { archived, stored, problems: unreadable.map((text) => ({ kind: 'object-unreadable', text })) };
  }
  const inPostgres = await findMissing(scratch, { of: 'archived', missingIn: 'stored', below: below('postgres-sink') });
  const inArchive = await findMissing(scratch, {
    of: 'stored',
    missingIn: 'archived',
    below: below('parquet-archiver'),
  });
  const problems: ArchiveProblem[] = [];
  if (inPostgres.count > 0) {
    problems.push({
      kind: 'missing-in-postgres',
      text: `${inPostgres.count} archived events are not in exp.events (dead letters of postgres-sink?): ${inPostgres.examples.join(', ')}`,
    });
  }
  if (inArchive.count > 0) {
    problems.push({
      kind: 'missing-in-archive',
      text: `${inArchive.count} stored events are not in the archive: ${inArchive.examples.join(', ')}`,
    });
  }
  return { archived, stored, problems };
}
