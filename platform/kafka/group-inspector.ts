// Members of consumer groups and the partitions they own, as Kafka's group coordinator sees them.
import kafkajs, { type Admin } from 'kafkajs';

export type GroupMember = {
  readonly memberId: string;
  readonly clientId: string;
  readonly host: string;
  /** Owned partitions by topic. */
  readonly partitions: ReadonlyMap<string, readonly number[]>;
};

export type GroupDescription = {
  readonly groupId: string;
  /** Kafka's word: Stable, PreparingRebalance, CompletingRebalance, Empty, Dead. */
  readonly state: string;
  readonly members: readonly GroupMember[];
};

function decodePartitions(assignment: Buffer): ReadonlyMap<string, readonly number[]> {
  // Members that are still joining have none.
  const decoded = assignment.length === 0 ? null : kafkajs.AssignerProtocol.MemberAssignment.decode(assignment);
  return new Map(
    Object.entries(decoded?.assignment ?? {}).map(([topic, owned]) => [topic, owned.toSorted((a, b) => a - b)]),
  );
}

/** The groups in the order asked for. A group that Kafka does not know is Dead and has no members. */
export async function describeGroups(admin: Admin, groupIds: readonly string[]): Promise<GroupDescription[]> {
  const { groups } = await admin.describeGroups([...groupIds]);
  const byId = new Map(groups.map((group) => [group.groupId, group]));
  return groupIds.map((groupId) => {
    const group = byId.get(groupId);
    return {
      groupId,
      state: group?.state ?? 'Dead',
      members: (group?.members ?? []).map((member) => ({
        memberId: member.memberId,
        clientId: member.clientId,
        host: member.clientHost.replace(/^\//, ''),
        partitions: decodePartitions(member.memberAssignment),
      })),
    };
  });
}
