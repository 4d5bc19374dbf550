// The topics of the catalogue as they are on the cluster: what exists, how large it is, where it differs.
import { findTopicDifferences, type TopicDifference } from '#platform/kafka/topic-admin.ts';
import { inNamespace, type Topic, topics } from '#schemas/topics.ts';
import { formatTable } from '../command-line/output.ts';
import type { Cluster } from './cluster.ts';

export type TopicReport = {
  readonly topic: string;
  readonly exists: boolean;
  readonly partitions: number;
  readonly cleanup: string;
  /** Offsets between start and end: of a compacted topic fewer records than that are left. */
  readonly offsets: bigint;
  readonly differences: readonly TopicDifference[];
};

export async function readTopics(cluster: Pick<Cluster, 'kafka' | 'namespace'>): Promise<TopicReport[]> {
  const catalogue = Object.values(topics) as Topic[];
  const admin = cluster.kafka.admin();
  await admin.connect();
  try {
    const { missing, differences } = await findTopicDifferences({ admin, catalogue, namespace: cluster.namespace });
    const reports: TopicReport[] = [];
    for (const topic of catalogue) {
      const name = inNamespace(topic.name, cluster.namespace);
      const exists = !missing.includes(topic);
      const offsets = exists ? await admin.fetchTopicOffsets(name) : [];
      reports.push({
        topic: name,
        exists,
        partitions: exists ? offsets.length : topic.partitions,
        cleanup: topic.cleanup,
        offsets: offsets.reduce((sum, { high, low }) => sum + BigInt(high) - BigInt(low), 0n),
        differences: differences.filter((difference) => difference.topic === name),
      });
    }
    return reports;
  } finally {
    await admin.disconnect();
  }
}

export function formatTopics(reports: readonly TopicReport[]): string {
  const table = formatTable(
    ['topic', 'exists', 'partitions', 'cleanup', 'offsets'],
    reports.map(({ topic, exists, partitions, cleanup, offsets }) => [
      topic,
      exists ? 'yes' : 'no',
      partitions,
      cleanup,
      offsets,
    ]),
  );
  const differences = reports.flatMap((report) =>
    report.differences.map(
      ({ topic, setting, found, expected }) => `${topic} has ${setting}=${found}, the catalogue says ${expected}`,
    ),
  );
  return [table, ...differences].join('\n');
}
