// The position of a consumer group, kept in Postgres and moved in the same transaction as the effects.
import { FatalError, PlatformError, RetryableError } from '#platform/errors.ts';
import type { TopicInspector } from '#platform/kafka/consumer-port.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';

/** The position is not where this member left it, or an operator has paused or moved the group: roll back and look again. */
export class OwnershipLostError extends PlatformError {
  constructor(groupId: string, topic: string, partition: number) {
    super(`another member of ${groupId}, or an operator, has moved or paused ${topic} partition ${partition}`, {
      code: 'ownership-lost',
    });
  }
}

export type Position = {
  readonly nextOffset: bigint;
  /** Of the group: an operator raises it with every pause, resume, replay and repair. */
  readonly revision: bigint;
  readonly isPaused: boolean;
};

export type OffsetStore = {
  /**
   * Position of each partition. Partitions that the group has never read start at the log start.
   * @throws FatalError when the stored position belongs to another cluster or topic, or lies outside the log.
   */
  load(partitions: readonly number[]): Promise<Map<number, Position>>;
  /**
   * Moves the position inside a transaction. @throws OwnershipLostError when it is not where this member left it, when the group
   * is paused, or when an operator has acted on the group since this member loaded the position.
   */
  advance(tx: PoolClient, partition: number, from: bigint, to: bigint): Promise<void>;
  /** Those of the partitions whose stored position, revision or pause is not what is expected. */
  findMoved(expected: ReadonlyMap<number, Position>): Promise<number[]>;
};

type PositionRow = { kafka_partition: number; next_offset: bigint; revision: bigint; is_paused: boolean };
type OffsetRow = PositionRow & { cluster_id: string; topic_id: string };

/**
 * A broker that was killed tells the end of a partition from its last checkpoint, until it has looked at its own log. A position beyond
 * it has lost nothing then, and for good only if the end stays there.
 */
const recoveryMs = 60_000;

const positionColumns = 'kafka_partition, next_offset, revision, paused_at IS NOT NULL AS is_paused';

export function createOffsetStore(options: {
  pool: Pool;
  groupId: string;
  topic: string;
  inspector: TopicInspector;
  now?: () => number;
}): OffsetStore {
  const { pool, groupId, topic, inspector, now = Date.now } = options;
  /** Since when each partition has seemed to end before the stored position, in ms. */
  const beyondSince = new Map<number, number>();

  /** @throws RetryableError for a while, then FatalError. */
  const refuseBeyondEnd = (partition: number, nextOffset: bigint, end: bigint): never => {
    const since = beyondSince.get(partition) ?? now();
    beyondSince.set(partition, since);
    const where = `${groupId} is at offset ${nextOffset} of ${topic} partition ${partition}, beyond its end ${end}`;
    if (now() - since < recoveryMs)
      throw new RetryableError(`${where}: its broker may have started just now`, { code: 'dependency-unavailable' });
    throw new FatalError(`${where}: Kafka has lost records that were read. Check the cluster before going on`, {
      code: 'cluster-mismatch',
    });
  };

  const revisions = new Map<number, bigint>();
  const toPosition = (row: PositionRow): Position => ({
    nextOffset: row.next_offset,
    revision: row.revision,
    isPaused: row.is_paused,
  });
  return {
    load: async (partitions) => {
      const [identity, offsets] = await Promise.all([inspector.identity(), inspector.offsets()]);
      const starts = partitions.map((partition) => {
        const found = offsets.get(partition);
        if (found === undefined)
          throw new FatalError(`topic ${topic} has no partition ${partition}`, { code: 'config-invalid' });
        return found.logStart;
      });
      await pool.query(
        `INSERT INTO exp.consumer_offsets (consumer_group, topic, kafka_partition, next_offset, cluster_id, topic_id,
           revision, paused_at, paused_by, paused_because)
         SELECT $1, $2, p, o, $5, $6, coalesce(g.revision, 0), g.paused_at, g.paused_by, g.paused_because
         FROM unnest($3::int[], $4::bigint[]) AS t (p, o)
         LEFT JOIN (SELECT revision, paused_at, paused_by, paused_because FROM exp.consumer_offsets
           WHERE consumer_group = $1 AND topic = $2 ORDER BY revision DESC LIMIT 1) AS g ON true
         ON CONFLICT DO NOTHING`,
        [groupId, topic, partitions, starts, identity.clusterId, identity.topicId],
      );
      const stored = await pool.query<OffsetRow>(
        `SELECT ${positionColumns}, cluster_id, topic_id FROM exp.consumer_offsets
         WHERE consumer_group = $1 AND topic = $2 AND kafka_partition = ANY ($3::int[])`,
        [groupId, topic, partitions],
      );
      const positions = new Map<number, Position>();
      for (const row of stored.rows) {
        if (row.cluster_id !== identity.clusterId || row.topic_id !== identity.topicId) {
          throw new FatalError(
            `the stored position of ${groupId} in ${topic} belongs to cluster ${row.cluster_id}, topic id ${row.topic_id}, but this is cluster ${identity.clusterId}, topic id ${identity.topicId}: the topic was made anew. See docs/runbooks/topic-made-anew.md`,
            { code: 'cluster-mismatch' },
          );
        }
        const { logStart, highWatermark } = offsets.get(row.kafka_partition)!;
        if (row.next_offset < logStart) {
          throw new FatalError(
            `${groupId} stopped at offset ${row.next_offset} of ${topic} partition ${row.kafka_partition}, but Kafka keeps only from ${logStart} on: ${logStart - row.next_offset} records were deleted unread. See docs/runbooks/offset-below-log-start.md`,
            { code: 'offset-below-log-start' },
          );
        }
        if (row.next_offset > highWatermark) refuseBeyondEnd(row.kafka_partition, row.next_offset, highWatermark);
        beyondSince.delete(row.kafka_partition);
        positions.set(row.kafka_partition, toPosition(row));
        revisions.set(row.kafka_partition, row.revision);
      }
      return positions;
    },
    advance: async (tx, partition, from, to) => {
      const moved = await tx.query(
        `UPDATE exp.consumer_offsets SET next_offset = $5, updated_at = now()
         WHERE consumer_group = $1 AND topic = $2 AND kafka_partition = $3 AND next_offset = $4 AND revision = $6
           AND paused_at IS NULL`,
        [groupId, topic, partition, from, to, revisions.get(partition)],
      );
      if (moved.rowCount !== 1) throw new OwnershipLostError(groupId, topic, partition);
    },
    findMoved: async (expected) => {
      if (expected.size === 0) return [];
      const stored = await pool.query<PositionRow>(
        `SELECT ${positionColumns} FROM exp.consumer_offsets
         WHERE consumer_group = $1 AND topic = $2 AND kafka_partition = ANY ($3::int[])`,
        [groupId, topic, [...expected.keys()]],
      );
      const moved = stored.rows.filter((row) => {
        const { nextOffset, revision, isPaused } = expected.get(row.kafka_partition)!;
        return row.next_offset !== nextOffset || row.revision !== revision || row.is_paused !== isPaused;
      });
      return moved.map((row) => row.kafka_partition);
    },
  };
}
