// Who is in each consumer group, on which host, with which partitions; and which partitions nobody owns.
import { describeGroups, type GroupDescription } from '#platform/kafka/group-inspector.ts';
import { topics } from '#schemas/topics.ts';
import { formatTable } from '../command-line/output.ts';
import { type Cluster, groupsOfCatalogue } from './cluster.ts';

export type GroupReport = GroupDescription & {
  readonly group: string;
  readonly topic: string;
  /** Partitions of the topic that no member owns: nothing is read from them at this moment. */
  readonly unowned: readonly number[];
};

export async function readGroups(cluster: Cluster): Promise<GroupReport[]> {
  const admin = cluster.kafka.admin();
  await admin.connect();
  try {
    const described = await describeGroups(
      admin,
      groupsOfCatalogue.map(({ group }) => cluster.groupName(group)),
    );
    return groupsOfCatalogue.map(({ group, topic }, index) => {
      const name = cluster.topicName(topic);
      const description = described[index]!;
      const owned = new Set(description.members.flatMap((member) => member.partitions.get(name) ?? []));
      const all = Array.from({ length: topics[topic].partitions }, (_, partition) => partition);
      return { ...description, group, topic: name, unowned: all.filter((partition) => !owned.has(partition)) };
    });
  } finally {
    await admin.disconnect();
  }
}

/** `0-3,7` */
export function formatPartitions(partitions: readonly number[]): string {
  const spans: [number, number][] = [];
  for (const partition of partitions) {
    const last = spans.at(-1);
    if (last !== undefined && last[1] + 1 === partition) last[1] = partition;
    else spans.push([partition, partition]);
  }
  return spans.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

export function formatGroups(reports: readonly GroupReport[]): string {
  return formatTable(
    ['group', 'state', 'host', 'member', 'partitions'],
    reports.flatMap(({ groupId, state, topic, members, unowned }) => [
      ...members.map((member) => [
        groupId,
        state,
        member.host,
        member.memberId,
        formatPartitions(member.partitions.get(topic) ?? []) || 'none',
      ]),
      ...(unowned.length > 0 ? [[groupId, state, '-', '(nobody)', formatPartitions(unowned)]] : []),
    ]),
  );
}
