// What an operator does to a whole group: lock its positions, change them, raise the revision that fences its members, on record.
import { FatalError } from '#platform/errors.ts';
import { inTransaction, type PoolClient } from '#platform/postgres/pool.ts';
import type { ConsumerGroupName } from '#schemas/topics.ts';
import { type Cluster, groupsOfCatalogue } from '../cluster/cluster.ts';

export type GroupAction = {
  readonly group: ConsumerGroupName;
  /** In exp.audit_log: `group.pause`. */
  readonly action: string;
  readonly actor: string;
  readonly because: string | null;
  readonly detail?: Readonly<Record<string, unknown>>;
};

/** Names of the group and its topic on the cluster. */
export function namesOfGroup(
  cluster: Pick<Cluster, 'topicName' | 'groupName'>,
  group: ConsumerGroupName,
): { groupId: string; topic: string } {
  const entry = groupsOfCatalogue.find((candidate) => candidate.group === group)!;
  return { groupId: cluster.groupName(group), topic: cluster.topicName(entry.topic) };
}

/**
 * Runs `work` while no flush of the group can commit: its position rows are locked, and flushes that began before are rolled back
 * by the raised revision. Members notice within seconds, read their positions again and forget what they remembered.
 * @throws FatalError when the group has never read anything.
 */
export async function actOnGroup<T>(
  cluster: Pick<Cluster, 'pool' | 'topicName' | 'groupName'>,
  action: GroupAction,
  work: (tx: PoolClient, names: { groupId: string; topic: string }) => Promise<T>,
): Promise<T> {
  const names = namesOfGroup(cluster, action.group);
  const key = [names.groupId, names.topic];
  return inTransaction(cluster.pool, async (tx) => {
    // In order, as every flush locks one row only: no two can wait for each other.
    const locked = await tx.query(
      `SELECT FROM exp.consumer_offsets WHERE consumer_group = $1 AND topic = $2 ORDER BY kafka_partition FOR UPDATE`,
      key,
    );
    if (locked.rowCount === 0) {
      throw new FatalError(`${names.groupId} has no position in ${names.topic}: it has never run`, {
        code: 'config-invalid',
      });
    }
    await tx.query(
      `UPDATE exp.consumer_offsets SET revision = (SELECT max(revision) + 1 FROM exp.consumer_offsets
         WHERE consumer_group = $1 AND topic = $2)
       WHERE consumer_group = $1 AND topic = $2`,
      key,
    );
    const result = await work(tx, names);
    await tx.query('INSERT INTO exp.audit_log (actor, action, subject, detail) VALUES ($1, $2, $3, $4)', [
      action.actor,
      action.action,
      names.groupId,
      JSON.stringify({ because: action.because, ...action.detail }),
    ]);
    return result;
  });
}
