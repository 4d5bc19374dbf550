// What the stores hold after a run: events and aggregates in Postgres, the archive as its readers see it, positions against Kafka.
import { readFile } from 'node:fs/promises';
import { readEventsSql } from '#domain/archive/archive-layout.ts';
import { aggregateTables, differingKeysSql } from '#ops/reconcile/aggregate-tables.ts';
import type { Kafka } from '#platform/kafka/kafka-client.ts';
import { downloadObjects } from '#platform/object-store/download-objects.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import { openScratchDatabase, quoteText } from '#platform/parquet/scratch-database.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { inNamespace, topics } from '#schemas/topics.ts';

/** `event_id/event_date`, the identity of an event. */
export type EventIdentity = string;

/** Identities of all rows of exp.events, sorted. */
export async function readStoredEvents(pool: Pool): Promise<EventIdentity[]> {
  const found = await pool.query<{ identity: string }>(
    `SELECT event_id || '/' || event_date AS identity FROM exp.events`,
  );
  return found.rows.map(({ identity }) => identity).sort();
}

export type Archive = {
  /** Identities that readers see, sorted: through the manifest, the lowest offset of each identity. */
  readonly events: EventIdentity[];
  /** Records in the objects, before readers fold them. */
  readonly records: number;
  /** Records by Kafka position that are in more than one object. */
  readonly repeatedPositions: number;
};

/** Reads the archive as documented for readers, with DuckDB. */
export async function readArchive(pool: Pool, objectStore: ObjectStore): Promise<Archive> {
  const manifest = await pool.query<{ object_key: string }>(
    `SELECT object_key FROM exp.archive_manifest WHERE status = 'committed' AND row_count > 0`,
  );
  if (manifest.rows.length === 0) return { events: [], records: 0, repeatedPositions: 0 };
  await using scratch = await openScratchDatabase();
  const keys = manifest.rows.map(({ object_key }) => object_key);
  const paths = await downloadObjects(objectStore, keys, scratch.folder);
  const seen = await scratch.connection.runAndReadAll(
    `SELECT event_id || '/' || event_date::VARCHAR FROM (${readEventsSql(paths)})`,
  );
  const counted = await scratch.connection.runAndReadAll(
    `SELECT count(*)::DOUBLE, (count(*) - count(DISTINCT (kafka_partition, kafka_offset)))::DOUBLE
     FROM read_parquet([${paths.map(quoteText).join(', ')}])`,
  );
  const [records, repeatedPositions] = counted.getRowsJS()[0] as [number, number];
  const events = seen.getRowsJS().map(([identity]) => identity as string);
  return { events: events.sort(), records, repeatedPositions };
}

/** End of the events topic by partition. */
export async function readLogEnds(kafka: Kafka, namespace: string): Promise<Map<number, bigint>> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const offsets = await admin.fetchTopicOffsets(inNamespace(topics.events.name, namespace));
    return new Map(offsets.map(({ partition, high }) => [partition, BigInt(high)]));
  } finally {
    await admin.disconnect();
  }
}

/** Stored next offsets of a group by partition. */
export async function readPositions(pool: Pool, group: string): Promise<Map<number, bigint>> {
  const found = await pool.query<{ kafka_partition: number; next_offset: bigint }>(
    'SELECT kafka_partition, next_offset FROM exp.consumer_offsets WHERE consumer_group = $1',
    [group],
  );
  return new Map(found.rows.map(({ kafka_partition, next_offset }) => [kafka_partition, next_offset]));
}

/** Partitions of the archive whose segments do not cover exactly [0, end) one after the other, each said in words. */
export async function findArchiveGaps(pool: Pool, ends: ReadonlyMap<number, bigint>): Promise<string[]> {
  const found = await pool.query<{
    kafka_partition: number;
    first_offset: bigint;
    last_offset: bigint;
    status: string;
  }>(
    `SELECT kafka_partition, first_offset, last_offset, status FROM exp.archive_manifest WHERE kind = 'segment'
     ORDER BY kafka_partition, first_offset`,
  );
  const problems: string[] = [];
  const next = new Map<number, bigint>();
  for (const { kafka_partition, first_offset, last_offset, status } of found.rows) {
    if (status !== 'committed') problems.push(`partition ${kafka_partition}: ${first_offset} is ${status}`);
    const expected = next.get(kafka_partition) ?? 0n;
    if (first_offset !== expected) problems.push(`partition ${kafka_partition}: ${first_offset} follows ${expected}`);
    next.set(kafka_partition, last_offset + 1n);
  }
  for (const [partition, end] of ends) {
    if ((next.get(partition) ?? 0n) !== end)
      problems.push(`partition ${partition} ends at ${next.get(partition)}, the topic at ${end}`);
  }
  return problems;
}

/** By table: rows that it holds, and up to five keys of rows that differ from the batch recount of exp.events. */
export async function compareWithRecount(
  pool: Pool,
): Promise<Record<string, { readonly rows: number; readonly different: unknown[] }>> {
  const recount = await readFile(new URL('../../analytics/recount.sql', import.meta.url), 'utf8');
  const client = await pool.connect();
  try {
    await client.query(recount);
    const compared: Record<string, { rows: number; different: unknown[] }> = {};
    for (const table of aggregateTables) {
      const different = await client.query(`${differingKeysSql(table, 'true')} LIMIT 5`);
      const rows = await client.query<{ count: bigint }>(`SELECT count(*) AS count FROM exp.${table.name}`);
      compared[table.name] = { rows: Number(rows.rows[0]!.count), different: different.rows };
    }
    return compared;
  } finally {
    // Its temporary views must not reach the next user of the connection.
    client.release(true);
  }
}
