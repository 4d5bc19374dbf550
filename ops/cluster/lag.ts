// How far each consumer group is behind: the position that Postgres holds against the end of the topic in Kafka.
import { setTimeout as sleep } from 'node:timers/promises';
import { scanTopic } from '#platform/kafka/scan-topic.ts';
import type { ConsumerGroupName } from '#schemas/topics.ts';
import { formatTable } from '../command-line/output.ts';
import { type Cluster, groupsOfCatalogue } from './cluster.ts';

export type PartitionLag = {
  readonly partition: number;
  /** Null while the group has never owned the partition: it will start at the log start. */
  readonly position: bigint | null;
  readonly logStart: bigint;
  readonly highWatermark: bigint;
  readonly lag: bigint;
};

export type GroupLag = {
  readonly group: ConsumerGroupName;
  readonly groupId: string;
  readonly topic: string;
  readonly lag: bigint;
  /** Age of the oldest record that the group has not finished, by broker time; 0 without lag. */
  readonly lagSeconds: number;
  /** When the group last committed anything. */
  readonly movedAt: Date | null;
  readonly partitions: readonly PartitionLag[];
};

export type LagReport = { readonly groups: readonly GroupLag[]; readonly outbox: OutboxLag };
export type OutboxLag = { readonly unpublished: bigint; readonly oldestSeconds: number };

type OffsetRow = { kafka_partition: number; next_offset: bigint; updated_at: Date };

async function readGroupLag(
  cluster: Cluster,
  entry: (typeof groupsOfCatalogue)[number],
  now: number,
): Promise<GroupLag> {
  const [topic, groupId] = [cluster.topicName(entry.topic), cluster.groupName(entry.group)];
  const stored = await cluster.pool.query<OffsetRow>(
    'SELECT kafka_partition, next_offset, updated_at FROM exp.consumer_offsets WHERE consumer_group = $1 AND topic = $2',
    [groupId, topic],
  );
  // After the positions: a group can only have come nearer to the end meanwhile.
  const ends = await cluster.inspector(topic).offsets();
  const rows = new Map(stored.rows.map((row) => [row.kafka_partition, row]));
  const partitions = [...ends]
    .sort(([a], [b]) => a - b)
    .map(([partition, { logStart, highWatermark }]) => {
      const position = rows.get(partition)?.next_offset ?? null;
      const behind = highWatermark - (position ?? logStart);
      return { partition, position, logStart, highWatermark, lag: behind > 0n ? behind : 0n };
    });
  const oldest = await findOldestUnreadMs(cluster, topic, partitions);
  const moves = stored.rows.map((row) => row.updated_at.getTime());
  return {
    group: entry.group,
    groupId,
    topic,
    lag: partitions.reduce((sum, { lag }) => sum + lag, 0n),
    lagSeconds: oldest === undefined ? 0 : Math.max(0, (now - oldest) / 1000),
    movedAt: moves.length === 0 ? null : new Date(Math.max(...moves)),
    partitions,
  };
}

async function findOldestUnreadMs(
  cluster: Cluster,
  topic: string,
  partitions: readonly PartitionLag[],
): Promise<number | undefined> {
  const spans = new Map(
    partitions
      .filter(({ lag }) => lag > 0n)
      .map(({ partition, position, logStart }) => {
        const from = position === null || position < logStart ? logStart : position;
        return [partition, { from, to: from + 1n }] as const;
      }),
  );
  let oldest: number | undefined;
  await scanTopic({
    kafka: cluster.kafka,
    topic,
    spans,
    visit: (record) => {
      oldest = Math.min(oldest ?? record.timestampMs, record.timestampMs);
    },
  });
  return oldest;
}

export async function readLag(cluster: Cluster): Promise<LagReport> {
  const now = Date.now();
  const groups: GroupLag[] = [];
  for (const entry of groupsOfCatalogue) groups.push(await readGroupLag(cluster, entry, now));
  const outbox = await cluster.pool.query<{ unpublished: bigint; oldest: number | null }>(
    `SELECT count(*) AS unpublished, extract(epoch FROM now() - min(created_at))::float8 AS oldest
     FROM (SELECT created_at FROM exp.assignment_outbox WHERE published_at IS NULL
           UNION ALL SELECT created_at FROM exp.definition_outbox WHERE published_at IS NULL) o`,
  );
  const { unpublished, oldest } = outbox.rows[0]!;
  return { groups, outbox: { unpublished, oldestSeconds: oldest ?? 0 } };
}

/** Whether a group has records to read, or the outbox rows to publish. */
export function isBehind({ groups, outbox }: LagReport): boolean {
  return outbox.unpublished > 0n || groups.some(({ lag }) => lag > 0n);
}

const lookAgainMs = 250;

/** The first report of which nothing is behind, or the last one before the time is up. */
export async function waitForNoLag(cluster: Cluster, seconds: number): Promise<LagReport> {
  const deadline = performance.now() + seconds * 1_000;
  for (;;) {
    const report = await readLag(cluster);
    if (!isBehind(report) || performance.now() > deadline) return report;
    await sleep(lookAgainMs);
  }
}

export function formatLag(report: LagReport, options: { partitions: boolean }): string {
  const summary = formatTable(
    ['group', 'topic', 'lag', 'oldest unread (s)', 'last commit'],
    report.groups.map(({ groupId, topic, lag, lagSeconds, movedAt }) => [
      groupId,
      topic,
      lag,
      Math.round(lagSeconds),
      movedAt,
    ]),
  );
  const detail = formatTable(
    ['group', 'partition', 'position', 'log start', 'end', 'lag'],
    report.groups.flatMap(({ groupId, partitions }) =>
      partitions.map(({ partition, position, logStart, highWatermark, lag }) => [
        groupId,
        partition,
        position,
        logStart,
        highWatermark,
        lag,
      ]),
    ),
  );
  const outbox = `outbox: ${report.outbox.unpublished} rows not published, oldest ${Math.round(report.outbox.oldestSeconds)} s`;
  return [summary, ...(options.partitions ? ['', detail] : []), '', outbox].join('\n');
}
