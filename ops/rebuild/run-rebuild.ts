// Runs the rebuild of each group as a process of its own, then lets the archiver go on behind the archive.
import { fileURLToPath } from 'node:url';
import type { ArchiveCluster } from '../cluster/cluster.ts';
import { runJob } from '../command-line/run-job.ts';
import type { RebuildableGroup } from './find-rebuild.ts';

export type GroupReport = Readonly<Record<string, unknown>> & {
  readonly groupId: string;
  readonly records: number;
  readonly written: number;
  readonly duplicates: number;
  readonly rejected: number;
};

/** Each group's own entry runs, with the settings of this process. */
export async function rebuildGroupFromArchive(
  group: RebuildableGroup,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<GroupReport> {
  const entry = fileURLToPath(new URL(`../../consumers/${group}/rebuild.ts`, import.meta.url));
  return runJob<GroupReport>(entry, { ...environment });
}

/** Positions of the archiver at the end of the archive, where it has none. The number of partitions. */
export async function restoreArchiverPositions(cluster: ArchiveCluster): Promise<number> {
  const topic = cluster.topicName('events');
  const { clusterId, topicId } = await cluster.inspector(topic).identity();
  const inserted = await cluster.pool.query(
    `INSERT INTO exp.consumer_offsets (consumer_group, topic, kafka_partition, next_offset, cluster_id, topic_id)
     SELECT $1, topic, kafka_partition, max(last_offset) + 1, $3, $4 FROM exp.archive_manifest
     WHERE topic = $2 AND kind = 'segment' AND status <> 'claimed' GROUP BY topic, kafka_partition
     ON CONFLICT DO NOTHING`,
    [cluster.groupName('parquet-archiver'), topic, clusterId, topicId],
  );
  return inserted.rowCount ?? 0;
}
