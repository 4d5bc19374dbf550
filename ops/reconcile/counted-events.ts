// Which events a recount counts: those that the metrics-aggregator has counted, once postgres-sink has stored all of them.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { RetryableError } from '#platform/errors.ts';
import type { PoolClient } from '#platform/postgres/pool.ts';
import type { ConsumerGroupName } from '#schemas/topics.ts';
import type { Cluster } from '../cluster/cluster.ts';

const sinkDeadlineMs = 60_000;

type Named = Pick<Cluster, 'topicName' | 'groupName'>;

/**
 * Locks the positions of the aggregator until the end of the transaction, and waits until the sink has passed them: then every
 * counted event is stored. @throws RetryableError when the sink does not come that far.
 */
export async function holdAggregator(tx: PoolClient, cluster: Named): Promise<void> {
  const topic = cluster.topicName('events');
  const [aggregator, sink] = [cluster.groupName('metrics-aggregator'), cluster.groupName('postgres-sink')];
  await tx.query(
    'SELECT FROM exp.consumer_offsets WHERE consumer_group = $1 AND topic = $2 ORDER BY kafka_partition FOR UPDATE',
    [aggregator, topic],
  );
  const deadline = Date.now() + sinkDeadlineMs;
  for (;;) {
    const behind = await tx.query<{ partition: number }>(
      `SELECT a.kafka_partition AS partition FROM exp.consumer_offsets a
       LEFT JOIN exp.consumer_offsets s ON s.consumer_group = $2 AND s.topic = a.topic AND s.kafka_partition = a.kafka_partition
       WHERE a.consumer_group = $1 AND a.topic = $3 AND a.next_offset > coalesce(s.next_offset, 0)`,
      [aggregator, sink, topic],
    );
    if (behind.rows.length === 0) return;
    if (Date.now() > deadline) {
      throw new RetryableError(
        `${sink} is behind ${aggregator} on partitions ${behind.rows.map(({ partition }) => partition).join(', ')}: a recount needs every counted event in exp.events`,
        { code: 'deadline-exceeded' },
      );
    }
    await sleep(200);
  }
}

/** As the group claims events: without the namespace, which the database has for itself. */
const claimant = 'metrics-aggregator' satisfies ConsumerGroupName;

/** Makes the recount views in the session, over the counted events `e` for which the condition holds. They go with the session. */
export async function createRecountViews(session: PoolClient, condition: string): Promise<void> {
  await session.query(await readFile(new URL('../../analytics/recount.sql', import.meta.url), 'utf8'));
  await session.query(
    `CREATE OR REPLACE TEMPORARY VIEW recount_events AS
     SELECT e.event_date, e.event_id, e.event_type, e.unit_type, e.unit_id, e.event_time, e.experiments, e.metrics
     FROM exp.events e
     JOIN exp.event_claims c ON c.event_date = e.event_date AND c.event_id = e.event_id AND c.consumer_group = '${claimant}'
     WHERE ${condition}`,
  );
}
