// `ops pause | resume`: stops a group from writing without stopping its processes.
import type { Cluster } from '../cluster/cluster.ts';
import { actOnGroup, type GroupAction } from './act-on-group.ts';

type Asked = Pick<GroupAction, 'group' | 'actor' | 'because'>;

/** When it resolves, nothing of the group commits any more. Pausing a paused group changes who paused it and why. */
export async function pauseGroup(
  cluster: Pick<Cluster, 'pool' | 'topicName' | 'groupName'>,
  asked: Asked,
): Promise<void> {
  await actOnGroup(cluster, { ...asked, action: 'group.pause' }, async (tx, { groupId, topic }) => {
    await tx.query(
      `UPDATE exp.consumer_offsets SET paused_at = now(), paused_by = $3, paused_because = $4
       WHERE consumer_group = $1 AND topic = $2`,
      [groupId, topic, asked.actor, asked.because],
    );
  });
}

/** Members go on within seconds. Resuming a group that is not paused makes its members read their positions again. */
export async function resumeGroup(
  cluster: Pick<Cluster, 'pool' | 'topicName' | 'groupName'>,
  asked: Asked,
): Promise<void> {
  await actOnGroup(cluster, { ...asked, action: 'group.resume' }, async (tx, { groupId, topic }) => {
    await tx.query(
      `UPDATE exp.consumer_offsets SET paused_at = NULL, paused_by = NULL, paused_because = NULL
       WHERE consumer_group = $1 AND topic = $2`,
      [groupId, topic],
    );
  });
}
