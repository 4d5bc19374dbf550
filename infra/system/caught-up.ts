// Waits until every consumer group has passed the present end of its topic and the outbox is empty.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Kafka } from '#platform/kafka/kafka-client.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { type ConsumerGroupName, inNamespace, topics } from '#schemas/topics.ts';
import { StackError } from '../local/stack-error.ts';

export type GroupLag = { readonly group: string; readonly lag: bigint };

/** Records that each group of the events topic has not finished, and outbox rows that are not published. */
export async function readLag(options: {
  kafka: Kafka;
  pool: Pool;
  namespace?: string;
  /** All of the topic when absent. */
  wanted?: readonly ConsumerGroupName[];
}): Promise<{ groups: GroupLag[]; outboxDepth: bigint }> {
  const topic = inNamespace(topics.events.name, options.namespace);
  const admin = options.kafka.admin();
  await admin.connect();
  try {
    const ends = (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + BigInt(high), 0n);
    const starts = (await admin.fetchTopicOffsets(topic)).reduce((sum, { low }) => sum + BigInt(low), 0n);
    const stored = await options.pool.query<{ consumer_group: string; position: bigint }>(
      'SELECT consumer_group, sum(next_offset)::bigint AS position FROM exp.consumer_offsets WHERE topic = $1 GROUP BY 1',
      [topic],
    );
    const positions = new Map(stored.rows.map((row) => [row.consumer_group, row.position]));
    const groups = (options.wanted ?? topics.events.groups).map((group) => ({
      group,
      lag: ends - (positions.get(inNamespace(group, options.namespace)) ?? starts),
    }));
    const outbox = await options.pool.query<{ depth: bigint }>(
      `SELECT (SELECT count(*) FROM exp.assignment_outbox WHERE published_at IS NULL)
            + (SELECT count(*) FROM exp.definition_outbox WHERE published_at IS NULL) AS depth`,
    );
    return { groups, outboxDepth: outbox.rows[0]!.depth };
  } finally {
    await admin.disconnect();
  }
}

/** @throws StackError when nothing moves for `stallMs`: it names the groups that are behind. */
export async function waitUntilCaughtUp(options: {
  kafka: Kafka;
  pool: Pool;
  namespace?: string;
  wanted?: readonly ConsumerGroupName[];
  stallMs?: number;
  onProgress?: (text: string) => void;
}): Promise<void> {
  const stallMs = options.stallMs ?? 60_000;
  let last = '';
  let movedAt = Date.now();
  for (;;) {
    const { groups, outboxDepth } = await readLag(options);
    const behind = groups.filter(({ lag }) => lag > 0n);
    if (behind.length === 0 && outboxDepth === 0n) return;
    const state = [
      ...behind.map(({ group, lag }) => `${group} ${lag}`),
      ...(outboxDepth > 0n ? [`outbox ${outboxDepth}`] : []),
    ].join(', ');
    if (state !== last) {
      last = state;
      movedAt = Date.now();
      options.onProgress?.(`records to go: ${state}`);
    }
    if (Date.now() - movedAt > stallMs)
      throw new StackError(`no progress for ${stallMs / 1000} s, still to go: ${state}`);
    await sleep(200);
  }
}
