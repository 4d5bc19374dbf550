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
  /** Set while an operator has paused the group. */
  readonly paused: { readonly at: Date; readonly by: string; readonly because: string | null } | null;
};

type PauseRow = { consumer_group: string; paused_at: Date; paused_by: string; paused_because: string | null };

export async function readGroups(cluster: Cluster): Promise<GroupReport[]> {
  const pauses = await cluster.pool.query<PauseRow>(
    `SELECT DISTINCT ON (consumer_group) consumer_group, paused_at, paused_by, paused_because
     FROM exp.consumer_offsets WHERE paused_at IS NOT NULL ORDER BY consumer_group, paused_at DESC`,
  );
  const pausedOf = (groupId: string): GroupReport['paused'] => {
    const row = pauses.rows.find(({ consumer_group }) => consumer_group === groupId);
    return row === undefined ? null : { at: row.paused_at, by: row.paused_by, because: row.paused_because };
  };
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
      const unowned = all.filter((partition) => !owned.has(partition));
      return { ...description, group, topic: name, unowned, paused: pausedOf(description.groupId) };
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
  const table = formatTable(
    ['group', 'state', 'host', 'member', 'partitions'],
    reports.flatMap(({ groupId, state, topic, members, unowned, paused }) => {
      const shown = paused === null ? state : `${state}, paused`;
      return [
        ...members.map((member) => [
          groupId,
          shown,
          member.host,
          member.memberId,
          formatPartitions(member.partitions.get(topic) ?? []) || 'none',
        ]),
        ...(unowned.length > 0 ? [[groupId, shown, '-', '(nobody)', formatPartitions(unowned)]] : []),
      ];
    }),
  );
  const pauses = reports.flatMap(({ group, groupId, paused }) =>
    paused === null
      ? []
      : [
          `${groupId} is paused since ${paused.at.toISOString()} by ${paused.by} (${paused.because}); "ops resume ${group}"`,
        ],
  );
  return [table, ...pauses].join('\n');
}
