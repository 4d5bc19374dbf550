// The manifest in Postgres: claims a range before its upload, commits it with the offset, finds what an earlier owner left open.

import type { ArchiveHour } from '#domain/archive/archive-layout.ts';
import { FatalError } from '#platform/errors.ts';
import { OwnershipLostError } from '#platform/kafka/postgres-offsets.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';
import type { TimeSpan } from './transform.ts';

export type Range = { readonly partition: number; readonly firstOffset: bigint; readonly lastOffset: bigint };

export type SegmentFacts = {
  readonly rowCount: number;
  readonly deadLetteredCount: number;
  readonly sizeBytes: number;
  readonly contentSha256: string | null;
  readonly eventTime: TimeSpan;
  readonly appendTime: TimeSpan;
};

export type Manifest = {
  /** The claim of an earlier owner that is not committed, or null. */
  findOpenClaim(partition: number): Promise<Range | null>;
  /**
   * Claims the range, or finds it claimed already, and gives its object key: the first claim decides it.
   * @throws OwnershipLostError when another owner has claimed or committed otherwise; FatalError on a gap.
   */
  claim(range: Range, objectKey: string, hour: ArchiveHour): Promise<string>;
  /** Marks the claim committed in the transaction that moves the offset. @throws OwnershipLostError when it is not open any more. */
  commit(tx: PoolClient, range: Range, facts: SegmentFacts): Promise<void>;
};

type ClaimRow = { first_offset: bigint; last_offset: bigint; status: string; object_key: string };

export function createManifest(options: { pool: Pool; topic: string; groupId: string }): Manifest {
  const { pool, topic, groupId } = options;
  return {
    findOpenClaim: async (partition) => {
      const found = await pool.query<ClaimRow>(
        `SELECT first_offset, last_offset FROM exp.archive_manifest WHERE topic = $1 AND kafka_partition = $2 AND status = 'claimed'`,
        [topic, partition],
      );
      const row = found.rows[0];
      return row === undefined ? null : { partition, firstOffset: row.first_offset, lastOffset: row.last_offset };
    },
    claim: async (range, objectKey, hour) => {
      const { partition, firstOffset, lastOffset } = range;
      const found = await pool.query<ClaimRow>(
        `SELECT first_offset, last_offset, status, object_key FROM exp.archive_manifest
         WHERE topic = $1 AND kafka_partition = $2 AND kind = 'segment' ORDER BY first_offset DESC LIMIT 1`,
        [topic, partition],
      );
      const latest = found.rows[0];
      if (latest?.status === 'claimed') {
        if (latest.first_offset === firstOffset && latest.last_offset === lastOffset) return latest.object_key;
        throw new OwnershipLostError(groupId, topic, partition);
      }
      if (latest !== undefined && latest.last_offset >= firstOffset)
        throw new OwnershipLostError(groupId, topic, partition);
      if (latest !== undefined && latest.last_offset + 1n !== firstOffset) {
        throw new FatalError(
          `the archive of ${topic} partition ${partition} ends at offset ${latest.last_offset}, but the group is at ${firstOffset}: the records between would be missing. Set next_offset of ${groupId} in exp.consumer_offsets back to ${latest.last_offset + 1n}`,
          { code: 'cluster-mismatch' },
        );
      }
      const inserted = await pool.query(
        `INSERT INTO exp.archive_manifest (topic, kafka_partition, first_offset, last_offset, status, object_key, dt, hour)
         VALUES ($1, $2, $3, $4, 'claimed', $5, $6, $7) ON CONFLICT DO NOTHING`,
        [topic, partition, firstOffset, lastOffset, objectKey, hour.dt, hour.hour],
      );
      // Someone else claimed between the two statements: only one open claim per partition is possible.
      if (inserted.rowCount !== 1) throw new OwnershipLostError(groupId, topic, partition);
      return objectKey;
    },
    commit: async (tx, range, facts) => {
      const committed = await tx.query(
        `UPDATE exp.archive_manifest SET status = 'committed', committed_at = now(), row_count = $5, dead_lettered_count = $6,
           size_bytes = $7, content_sha256 = $8, event_time_min = $9, event_time_max = $10, append_time_min = $11, append_time_max = $12
         WHERE topic = $1 AND kafka_partition = $2 AND first_offset = $3 AND last_offset = $4 AND status = 'claimed'`,
        [
          topic,
          range.partition,
          range.firstOffset,
          range.lastOffset,
          facts.rowCount,
          facts.deadLetteredCount,
          facts.sizeBytes,
          facts.contentSha256,
          facts.eventTime?.min ?? null,
          facts.eventTime?.max ?? null,
          facts.appendTime?.min ?? null,
          facts.appendTime?.max ?? null,
        ],
      );
      if (committed.rowCount !== 1) throw new OwnershipLostError(groupId, topic, range.partition);
    },
  };
}
