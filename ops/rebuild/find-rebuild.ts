// What a rebuild of Postgres from the archive would do, and what stands against it; reads only.
import { describeGroups } from '#platform/kafka/group-inspector.ts';
import type { ConsumerGroupName } from '#schemas/topics.ts';
import { verifyManifest } from '../archive/verify-manifest.ts';
import type { ArchiveCluster } from '../cluster/cluster.ts';
import { formatTable } from '../command-line/output.ts';
import { loadErasedUnits } from './load-erased-units.ts';

export const rebuildableGroups = [
  'postgres-sink',
  'metrics-aggregator',
  'dataset-builder',
] as const satisfies readonly ConsumerGroupName[];
export type RebuildableGroup = (typeof rebuildableGroups)[number];

export type GroupRebuild = {
  readonly group: RebuildableGroup;
  /** `empty`: from the first archived offset. `continues`: from where it is. `done`: it is at the end of the archive or beyond. */
  readonly state: 'empty' | 'continues' | 'done';
  /** Archived offsets that it will read. */
  readonly offsets: bigint;
};

export type RebuildPlan = {
  readonly groups: readonly GroupRebuild[];
  readonly archivedOffsets: bigint;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
};

/** Tables that must be empty while a group has no position: their rows would be counted a second time or be taken for new ones. */
const tablesOf: Readonly<Record<RebuildableGroup, readonly string[]>> = {
  'postgres-sink': ['events'],
  'metrics-aggregator': ['metric_aggregates', 'unit_metrics', 'unit_daily_metrics', 'first_exposures', 'event_claims'],
  'dataset-builder': ['training_rows'],
};

type Extent = { partition: number; first: bigint; end: bigint };

async function hasRows(cluster: ArchiveCluster, table: string): Promise<boolean> {
  return (await cluster.pool.query(`SELECT FROM exp.${table} LIMIT 1`)).rowCount !== 0;
}

async function findGroupRebuild(
  cluster: ArchiveCluster,
  group: RebuildableGroup,
  extents: readonly Extent[],
): Promise<{ plan: GroupRebuild; problems: string[] }> {
  const groupId = cluster.groupName(group);
  const stored = await cluster.pool.query<{ partition: number; next: bigint; is_paused: boolean }>(
    `SELECT kafka_partition AS partition, next_offset AS next, paused_at IS NOT NULL AS is_paused FROM exp.consumer_offsets
     WHERE consumer_group = $1 AND topic = $2`,
    [groupId, cluster.topicName('events')],
  );
  const positions = new Map(stored.rows.map(({ partition, next }) => [partition, next]));
  const problems: string[] = [];
  if (positions.size === 0) {
    for (const table of tablesOf[group]) {
      if (await hasRows(cluster, table))
        problems.push(`exp.${table} has rows, but ${groupId} has no position: empty what the group wrote first`);
    }
  }
  if (stored.rows.some(({ is_paused }) => is_paused)) problems.push(`${groupId} is paused: "ops resume ${group}"`);
  const offsets = extents.reduce((sum, { partition, first, end }) => {
    const from = positions.get(partition) ?? first;
    return from < end ? sum + end - from : sum;
  }, 0n);
  const state = offsets === 0n ? 'done' : positions.size === 0 ? 'empty' : 'continues';
  return { plan: { group, state, offsets }, problems };
}

/** Kafka beside the archive: the same log, and nothing missing between the two. */
async function findLogProblems(cluster: ArchiveCluster, extents: readonly Extent[]): Promise<string[]> {
  const topic = cluster.topicName('events');
  const offsets = await cluster.inspector(topic).offsets();
  return extents.flatMap(({ partition, end }) => {
    const log = offsets.get(partition);
    if (log === undefined || log.highWatermark < end) {
      return [
        `partition ${partition} of ${topic} ends at ${log?.highWatermark ?? 'nothing'}, the archive at ${end}: this is another log; see docs/runbooks/topic-made-anew.md`,
      ];
    }
    if (log.logStart > end)
      return [`partition ${partition}: offsets ${end} to ${log.logStart - 1n} are neither in the archive nor in Kafka`];
    return [];
  });
}

export async function findRebuild(cluster: ArchiveCluster, groups: readonly RebuildableGroup[]): Promise<RebuildPlan> {
  const problems: string[] = [];
  const warnings: string[] = [];
  const found = await cluster.pool.query<Extent>(
    `SELECT kafka_partition AS partition, min(first_offset) AS first, max(last_offset) + 1 AS end FROM exp.archive_manifest
     WHERE topic = $1 AND kind = 'segment' AND status <> 'claimed' GROUP BY 1 ORDER BY 1`,
    [cluster.topicName('events')],
  );
  const extents = found.rows;
  if (extents.length === 0)
    problems.push('exp.archive_manifest is empty: "ops rebuild manifest --from-objects" makes it from the objects');
  const manifest = await verifyManifest(cluster);
  problems.push(
    ...manifest.problems.filter(({ kind }) => kind === 'gap' || kind === 'overlap').map(({ text }) => text),
  );
  problems.push(...(await findLogProblems(cluster, extents)));

  const admin = cluster.kafka.admin();
  await admin.connect();
  try {
    const described = await describeGroups(
      admin,
      groups.map((group) => cluster.groupName(group)),
    );
    for (const { groupId, members } of described) {
      if (members.length > 0) problems.push(`${groupId} has ${members.length} running members: stop them first`);
    }
  } finally {
    await admin.disconnect();
  }
  const erased = await loadErasedUnits(cluster.pool, cluster.erasureKey);
  if (erased.isEmpty) {
    warnings.push(
      'exp.erasures is empty: if units were ever erased, restore that table first, or those that compaction has not taken out come back',
    );
  }
  if (!(await hasRows(cluster, 'experiments'))) {
    warnings.push('exp.experiments is empty: implicit exposures and mismatched assignments need the definitions first');
  }
  const plans: GroupRebuild[] = [];
  for (const group of groups) {
    const { plan, problems: ofGroup } = await findGroupRebuild(cluster, group, extents);
    plans.push(plan);
    problems.push(...ofGroup);
  }
  const archivedOffsets = extents.reduce((sum, { first, end }) => sum + end - first, 0n);
  return { groups: plans, archivedOffsets, problems, warnings };
}

const stateTexts: Readonly<Record<GroupRebuild['state'], string>> = {
  empty: 'from the start of the archive',
  continues: 'from where it is',
  done: 'nothing to read',
};

export function formatRebuildPlan(plan: RebuildPlan): string {
  const table = formatTable(
    ['group', 'will read', 'offsets'],
    plan.groups.map(({ group, state, offsets }) => [group, stateTexts[state], offsets]),
  );
  return [
    table,
    ...plan.warnings.map((text) => `warning: ${text}`),
    ...plan.problems.map((text) => `problem: ${text}`),
  ].join('\n');
}
