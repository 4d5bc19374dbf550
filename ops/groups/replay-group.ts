// `ops replay`: sets a group back to an earlier time or offset, safely beside running members.
import { FatalError } from '#platform/errors.ts';
import type { ConsumerGroupName } from '#schemas/topics.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { formatTable } from '../command-line/output.ts';
import { actOnGroup, namesOfGroup } from './act-on-group.ts';
import { planReplay, type ReplayPlan, type ReplayStart, replayMeaning } from './plan-replay.ts';

export type ReplayOptions = {
  readonly group: ConsumerGroupName;
  readonly start: ReplayStart;
  /** All partitions of the topic when absent. */
  readonly partitions?: readonly number[];
  readonly allowSkip: boolean;
};

async function findTargets(cluster: Cluster, topic: string, options: ReplayOptions): Promise<Map<number, bigint>> {
  const { start } = options;
  const offsets = await cluster.inspector(topic).offsets();
  const wanted = options.partitions ?? [...offsets.keys()];
  if (start.kind === 'offset') return new Map(wanted.map((partition) => [partition, start.offset]));
  if (start.kind === 'earliest')
    return new Map(wanted.map((partition) => [partition, offsets.get(partition)?.logStart ?? 0n]));
  const admin = cluster.kafka.admin();
  await admin.connect();
  try {
    const found = await admin.fetchTopicOffsetsByTimestamp(topic, start.time.getTime());
    const byPartition = new Map(found.map(({ partition, offset }) => [partition, BigInt(offset)]));
    // Without a record that young the answer is the end of the partition, or -1.
    const endOf = (partition: number): bigint => offsets.get(partition)?.highWatermark ?? 0n;
    return new Map(
      wanted.map((partition) => {
        const offset = byPartition.get(partition) ?? -1n;
        return [partition, offset < 0n ? endOf(partition) : offset];
      }),
    );
  } finally {
    await admin.disconnect();
  }
}

/** What the replay would do now; nothing is changed. */
export async function findReplay(cluster: Cluster, options: ReplayOptions): Promise<ReplayPlan> {
  const { groupId, topic } = namesOfGroup(cluster, options.group);
  const refusal = replayMeaning[options.group].refusal;
  const targets = await findTargets(cluster, topic, options);
  const stored = await cluster.pool.query<{ kafka_partition: number; next_offset: bigint }>(
    'SELECT kafka_partition, next_offset FROM exp.consumer_offsets WHERE consumer_group = $1 AND topic = $2',
    [groupId, topic],
  );
  const positions = new Map(stored.rows.map((row) => [row.kafka_partition, row.next_offset]));
  if (options.start.kind === 'time' && !options.allowSkip) {
    // A time is where to begin at the latest: what the group has not read yet stays to be read.
    for (const [partition, target] of targets) {
      const position = positions.get(partition);
      if (position !== undefined && target > position) targets.set(partition, position);
    }
  }
  const offsets = await cluster.inspector(topic).offsets();
  const plan = planReplay({ targets, positions, offsets, allowSkip: options.allowSkip });
  return refusal === undefined ? plan : { ...plan, problems: [refusal, ...plan.problems] };
}

/**
 * Sets the positions. Members that run are fenced by the raised revision and go on from the new positions within seconds; a flush
 * of theirs that commits before is read again like everything else.
 * @throws FatalError when the plan has problems.
 */
export async function applyReplay(
  cluster: Cluster,
  options: ReplayOptions & { actor: string; because: string | null },
  plan: ReplayPlan,
): Promise<void> {
  if (plan.problems.length > 0)
    throw new FatalError(`nothing was done: ${plan.problems.join('; ')}`, { code: 'config-invalid' });
  const { group, actor, because } = options;
  const detail = {
    positions: Object.fromEntries(plan.partitions.map(({ partition, from, to }) => [partition, `${from} -> ${to}`])),
  };
  await actOnGroup(
    cluster,
    { group, action: 'group.replay', actor, because, detail },
    async (tx, { groupId, topic }) => {
      await tx.query(
        `UPDATE exp.consumer_offsets o SET next_offset = t.next_offset, updated_at = now()
       FROM unnest($3::int[], $4::bigint[]) AS t (kafka_partition, next_offset)
       WHERE o.consumer_group = $1 AND o.topic = $2 AND o.kafka_partition = t.kafka_partition`,
        [groupId, topic, plan.partitions.map(({ partition }) => partition), plan.partitions.map(({ to }) => to)],
      );
    },
  );
}

export function formatReplay(group: ConsumerGroupName, plan: ReplayPlan): string {
  const table = formatTable(
    ['partition', 'now at', 'will be at', 'to read again'],
    plan.partitions.map(({ partition, from, to, again }) => [partition, from, to, again]),
  );
  const total = plan.partitions.reduce((sum, { again }) => sum + again, 0n);
  return [
    table,
    '',
    `${group} will read ${total} offsets again: ${replayMeaning[group].meaning}`,
    ...plan.problems.map((problem) => `problem: ${problem}`),
  ].join('\n');
}
