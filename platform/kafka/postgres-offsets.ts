// The position of a consumer group, kept in Postgres and moved in the same transaction as the effects.
import { FatalError, PlatformError } from '#platform/errors.ts';
import type { TopicInspector } from '#platform/kafka/consumer-port.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';

/** Another member has moved this partition on: roll back and give it up. */
export class OwnershipLostError extends PlatformError {
  constructor(groupId: string, topic: string, partition: number) {
    super(`another member of ${groupId} has moved ${topic} partition ${partition} on`, { code: 'ownership-lost' });
  }
}

export type OffsetStore = {
  /**
   * Next offset of each partition. Partitions that the group has never read start at the log start.
   * @throws FatalError when the stored position belongs to another cluster or topic, or lies outside the log.
   */
  load(partitions: readonly number[]): Promise<Map<number, bigint>>;
  /** Moves the position inside a transaction. @throws OwnershipLostError when it is not where this member left it. */
  advance(tx: PoolClient, partition: number, from: bigint, to: bigint): Promise<void>;
};

type OffsetRow = { kafka_partition: number; next_offset: bigint; cluster_id: string; topic_id: string };

export function createOffsetStore(options: {
  pool: Pool;
  groupId: string;
  topic: string;
  inspector: TopicInspector;
}): OffsetStore {
  const { pool, groupId, topic, inspector } = options;
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
        `INSERT INTO exp.consumer_offsets (consumer_group, topic, kafka_partition, next_offset, cluster_id, topic_id)
         SELECT $1, $2, p, o, $5, $6 FROM unnest($3::int[], $4::bigint[]) AS t (p, o) ON CONFLICT DO NOTHING`,
        [groupId, topic, partitions, starts, identity.clusterId, identity.topicId],
      );
      const stored = await pool.query<OffsetRow>(
        `SELECT kafka_partition, next_offset, cluster_id, topic_id FROM exp.consumer_offsets
         WHERE consumer_group = $1 AND topic = $2 AND kafka_partition = ANY ($3::int[])`,
        [groupId, topic, partitions],
      );
      const positions = new Map<number, bigint>();
      for (const row of stored.rows) {
        if (row.cluster_id !== identity.clusterId || row.topic_id !== identity.topicId) {
          throw new FatalError(
            `the stored position of ${groupId} in ${topic} belongs to cluster ${row.cluster_id}, topic id ${row.topic_id}, but this is cluster ${identity.clusterId}, topic id ${identity.topicId}: the topic was made anew. Rebuild from the archive, then delete the group's rows in exp.consumer_offsets`,
            { code: 'cluster-mismatch' },
          );
        }
        const { logStart, highWatermark } = offsets.get(row.kafka_partition)!;
        if (row.next_offset < logStart) {
          throw new FatalError(
            `${groupId} stopped at offset ${row.next_offset} of ${topic} partition ${row.kafka_partition}, but Kafka keeps only from ${logStart} on: ${logStart - row.next_offset} records were deleted unread. Rebuild them from the archive, then set next_offset in exp.consumer_offsets`,
            { code: 'offset-below-log-start' },
          );
        }
        if (row.next_offset > highWatermark) {
          throw new FatalError(
            `${groupId} is at offset ${row.next_offset} of ${topic} partition ${row.kafka_partition}, beyond its end ${highWatermark}: Kafka has lost records that were read. Check the cluster before going on`,
            { code: 'cluster-mismatch' },
          );
        }
        positions.set(row.kafka_partition, row.next_offset);
      }
      return positions;
    },
    advance: async (tx, partition, from, to) => {
      const moved = await tx.query(
        `UPDATE exp.consumer_offsets SET next_offset = $5, updated_at = now()
         WHERE consumer_group = $1 AND topic = $2 AND kafka_partition = $3 AND next_offset = $4`,
        [groupId, topic, partition, from, to],
      );
      if (moved.rowCount !== 1) throw new OwnershipLostError(groupId, topic, partition);
    },
  };
}
