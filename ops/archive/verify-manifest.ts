// The manifest against itself and against the archiver's position: no offset range missing, none twice.
import type { Cluster } from '../cluster/cluster.ts';

export type ArchiveProblem = {
  readonly kind:
    | 'gap'
    | 'overlap'
    | 'position'
    | 'object-missing'
    | 'object-changed'
    | 'object-unknown'
    | 'object-unreadable'
    | 'rows'
    | 'missing-in-archive'
    | 'missing-in-postgres';
  readonly text: string;
};

export type ManifestReport = {
  readonly segments: number;
  readonly compacted: number;
  readonly openClaims: readonly {
    readonly partition: number;
    readonly firstOffset: bigint;
    readonly ageSeconds: number;
  }[];
  readonly problems: readonly ArchiveProblem[];
};

type Edge = { partition: number; before: bigint; first: bigint };

/** Gaps, overlaps, and partitions whose archived end is not where the archiver is. */
export async function verifyManifest(
  cluster: Pick<Cluster, 'pool' | 'topicName' | 'groupName'>,
): Promise<ManifestReport> {
  const { pool } = cluster;
  const [topic, groupId] = [cluster.topicName('events'), cluster.groupName('parquet-archiver')];
  const counts = await pool.query<{ segments: bigint; compacted: bigint }>(
    `SELECT count(*) FILTER (WHERE kind = 'segment') AS segments,
       count(*) FILTER (WHERE kind = 'compacted' AND status = 'committed') AS compacted
     FROM exp.archive_manifest WHERE topic = $1`,
    [topic],
  );
  const edges = await pool.query<Edge>(
    `SELECT kafka_partition AS partition, before, first_offset AS first
     FROM (SELECT kafka_partition, first_offset,
             max(last_offset) OVER (PARTITION BY kafka_partition ORDER BY first_offset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
           FROM exp.archive_manifest WHERE topic = $1 AND kind = 'segment') m
     WHERE before + 1 <> first_offset ORDER BY 1, 3`,
    [topic],
  );
  const positions = await pool.query<{ partition: number; next: bigint; archived: bigint }>(
    `SELECT o.kafka_partition AS partition, o.next_offset AS next, max(m.last_offset) + 1 AS archived
     FROM exp.consumer_offsets o
     JOIN exp.archive_manifest m ON m.topic = o.topic AND m.kafka_partition = o.kafka_partition
       AND m.kind = 'segment' AND m.status <> 'claimed'
     WHERE o.consumer_group = $1 AND o.topic = $2
     GROUP BY 1, 2 HAVING o.next_offset <> max(m.last_offset) + 1 ORDER BY 1`,
    [groupId, topic],
  );
  const unarchived = await pool.query<{ partition: number }>(
    `SELECT m.kafka_partition AS partition FROM exp.archive_manifest m
     WHERE m.topic = $2 AND m.kind = 'segment' AND NOT EXISTS (SELECT FROM exp.consumer_offsets o
       WHERE o.consumer_group = $1 AND o.topic = m.topic AND o.kafka_partition = m.kafka_partition)
     GROUP BY 1 ORDER BY 1`,
    [groupId, topic],
  );
  const claims = await pool.query<{ partition: number; first: bigint; age: number; next: bigint | null }>(
    `SELECT m.kafka_partition AS partition, m.first_offset AS first, extract(epoch FROM now() - m.claimed_at)::float8 AS age,
       o.next_offset AS next
     FROM exp.archive_manifest m
     LEFT JOIN exp.consumer_offsets o ON o.consumer_group = $1 AND o.topic = m.topic AND o.kafka_partition = m.kafka_partition
     WHERE m.topic = $2 AND m.kind = 'segment' AND m.status = 'claimed' ORDER BY 1`,
    [groupId, topic],
  );
  const unaccounted = await pool.query<{ id: bigint; object_key: string; made_of: bigint; rows: bigint }>(
    `SELECT c.id, c.object_key, sum(m.row_count)::bigint AS made_of, c.row_count + c.duplicate_count AS rows
     FROM exp.archive_manifest c JOIN exp.archive_manifest m ON m.superseded_by = c.id
     WHERE c.topic = $1 AND c.kind = 'compacted' AND c.row_count IS NOT NULL
     GROUP BY c.id HAVING sum(m.row_count) <> c.row_count + c.duplicate_count ORDER BY c.id`,
    [topic],
  );
  return {
    segments: Number(counts.rows[0]!.segments),
    compacted: Number(counts.rows[0]!.compacted),
    openClaims: claims.rows.map(({ partition, first, age }) => ({ partition, firstOffset: first, ageSeconds: age })),
    problems: [
      ...edges.rows.map(describeEdge),
      ...positions.rows.map(({ partition, next, archived }) => ({
        kind: 'position' as const,
        text: `partition ${partition}: the archive ends before offset ${archived}, but ${groupId} is at ${next}`,
      })),
      ...unarchived.rows.map(({ partition }) => ({
        kind: 'position' as const,
        text: `partition ${partition}: archived, but ${groupId} has no position there`,
      })),
      ...unaccounted.rows.map(({ object_key, made_of, rows }) => ({
        kind: 'rows' as const,
        text: `${object_key} was made of ${made_of} rows, but holds or left out ${rows}`,
      })),
      ...claims.rows
        .filter(({ first, next }) => next !== first)
        .map(({ partition, first, next }) => ({
          kind: 'position' as const,
          text: `partition ${partition}: an open claim begins at offset ${first}, but ${groupId} is at ${next ?? 'no position'}`,
        })),
    ],
  };
}

/** What the archiver has passed and Kafka still has, but no segment: the manifest lost the first ranges of a partition, or all of them. */
export async function findLostBeginnings(
  cluster: Pick<Cluster, 'pool' | 'topicName' | 'groupName' | 'inspector'>,
): Promise<ArchiveProblem[]> {
  const topic = cluster.topicName('events');
  const begun = await cluster.pool.query<{ partition: number; begin: bigint }>(
    `SELECT o.kafka_partition AS partition, coalesce(min(m.first_offset), o.next_offset) AS begin
     FROM exp.consumer_offsets o
     LEFT JOIN exp.archive_manifest m ON m.topic = o.topic AND m.kafka_partition = o.kafka_partition AND m.kind = 'segment'
     WHERE o.consumer_group = $1 AND o.topic = $2 GROUP BY 1, o.next_offset ORDER BY 1`,
    [cluster.groupName('parquet-archiver'), topic],
  );
  if (begun.rows.length === 0) return [];
  const offsets = await cluster.inspector(topic).offsets();
  return begun.rows.flatMap(({ partition, begin }) => {
    const logStart = offsets.get(partition)?.logStart ?? begin;
    return logStart < begin
      ? [
          {
            kind: 'position' as const,
            text: `partition ${partition}: offsets ${logStart} to ${begin - 1n} are in no segment, but the archiver has passed them and Kafka still has them`,
          },
        ]
      : [];
  });
}

function describeEdge({ partition, before, first }: Edge): ArchiveProblem {
  return first > before
    ? { kind: 'gap', text: `partition ${partition}: offsets ${before + 1n} to ${first - 1n} are in no segment` }
    : { kind: 'overlap', text: `partition ${partition}: offsets ${first} to ${before} are in more than one segment` };
}
