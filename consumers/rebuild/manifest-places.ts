// What a rebuild reads from Postgres: where each archived segment's rows are now, and where the group is.
import type { Pool } from '#platform/postgres/pool.ts';
import type { SegmentPlace } from './plan-steps.ts';

type PlaceRow = {
  kafka_partition: number;
  first_offset: bigint;
  last_offset: bigint;
  dt: string;
  hour: number;
  object_key: string;
  status: string;
  row_count: bigint;
};

/** Committed segments, each with the object that holds its rows: its own, or the compacted file that took its place. */
export async function listSegmentPlaces(pool: Pool, topic: string): Promise<SegmentPlace[]> {
  const found = await pool.query<PlaceRow>(
    `WITH RECURSIVE places AS (
       SELECT id AS segment_id, id, superseded_by, object_key, status, dt, hour FROM exp.archive_manifest
       WHERE topic = $1 AND kind = 'segment' AND status <> 'claimed'
       UNION ALL
       SELECT p.segment_id, m.id, m.superseded_by, m.object_key, m.status, m.dt, m.hour
       FROM places p JOIN exp.archive_manifest m ON m.id = p.superseded_by
     )
     SELECT s.kafka_partition, s.first_offset, s.last_offset, s.row_count, p.dt, p.hour, p.object_key, p.status
     FROM places p JOIN exp.archive_manifest s ON s.id = p.segment_id
     WHERE p.superseded_by IS NULL ORDER BY s.kafka_partition, s.first_offset`,
    [topic],
  );
  return found.rows.map((row) => ({
    partition: row.kafka_partition,
    firstOffset: row.first_offset,
    lastOffset: row.last_offset,
    dt: row.dt,
    hour: row.hour,
    objectKey: row.row_count > 0n && row.status === 'committed' ? row.object_key : null,
    isExpired: row.status === 'expired',
  }));
}

/** Where the group is; partitions that it never read are not among them. */
export async function readStarts(
  pool: Pool,
  groupId: string,
  topic: string,
): Promise<Map<number, { nextOffset: bigint; isPaused: boolean }>> {
  const found = await pool.query<{ kafka_partition: number; next_offset: bigint; is_paused: boolean }>(
    `SELECT kafka_partition, next_offset, paused_at IS NOT NULL AS is_paused FROM exp.consumer_offsets
     WHERE consumer_group = $1 AND topic = $2`,
    [groupId, topic],
  );
  return new Map(
    found.rows.map((row) => [row.kafka_partition, { nextOffset: row.next_offset, isPaused: row.is_paused }]),
  );
}
