// Creates the topics of the catalogue and reports where an existing topic differs from it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin } from 'kafkajs';
import { FatalError } from '#platform/errors.ts';
import { inNamespace, type Topic } from '#schemas/topics.ts';

export type TopicDifference = { topic: string; setting: string; found: string; expected: string };

/**
 * Copies that must hold a record before `acks=all` is answered: of three or more all but one, so that what was acknowledged outlives
 * the loss of a broker also while another one is away, and writes go on without one. Fewer copies cannot give both, and writes go on.
 */
const minInsyncReplicas = (replicationFactor: number): number => Math.max(1, replicationFactor - 1);

function configOf(topic: Topic, replicationFactor: number): { name: string; value: string }[] {
  return [
    { name: 'min.insync.replicas', value: String(minInsyncReplicas(replicationFactor)) },
    { name: 'cleanup.policy', value: topic.cleanup },
    { name: 'message.timestamp.type', value: 'LogAppendTime' },
    { name: 'max.message.bytes', value: String(topic.maxRecordBytes) },
    { name: 'retention.ms', value: topic.retentionMs === null ? '-1' : String(topic.retentionMs) },
    ...(topic.cleanup === 'compact' ? [{ name: 'min.compaction.lag.ms', value: '0' }] : []),
  ];
}

/**
 * Which topics of the catalogue are missing, and where existing ones differ from it. Changes nothing. Another number of
 * partitions is a difference in `partitions`.
 */
export async function findTopicDifferences(options: {
  admin: Admin;
  catalogue: readonly Topic[];
  namespace: string | undefined;
}): Promise<{ missing: Topic[]; differences: TopicDifference[] }> {
  const { admin, namespace } = options;
  const existing = new Set(await admin.listTopics());
  const wanted = options.catalogue.map((topic) => ({ topic, name: inNamespace(topic.name, namespace) }));
  const present = wanted.filter(({ name }) => existing.has(name));
  const differences: TopicDifference[] = [];
  if (present.length > 0) {
    const metadata = await admin.fetchTopicMetadata({ topics: present.map(({ name }) => name) });
    const copies = new Map(metadata.topics.map(({ name, partitions }) => [name, partitions[0]?.replicas.length ?? 1]));
    for (const { name, partitions } of metadata.topics) {
      const expected = present.find((entry) => entry.name === name)!.topic.partitions;
      if (partitions.length !== expected) {
        const [found, wants] = [String(partitions.length), String(expected)];
        differences.push({ topic: name, setting: 'partitions', found, expected: wants });
      }
    }
    const described = await admin.describeConfigs({
      includeSynonyms: false,
      resources: present.map(({ name }) => ({ type: 2, name })),
    });
    for (const resource of described.resources) {
      const topic = present.find((entry) => entry.name === resource.resourceName)!.topic;
      for (const { name, value } of configOf(topic, copies.get(resource.resourceName)!)) {
        const found = resource.configEntries.find((entry) => entry.configName === name)?.configValue ?? 'nothing';
        if (found !== value) differences.push({ topic: resource.resourceName, setting: name, found, expected: value });
      }
    }
  }
  return { missing: wanted.filter(({ name }) => !existing.has(name)).map(({ topic }) => topic), differences };
}

const leaderDeadlineMs = 30_000;

/** Resolves when every partition of the topics has a leader. @throws the last answer of Kafka after half a minute. */
export async function waitForLeaders(admin: Admin, names: readonly string[]): Promise<void> {
  const deadline = Date.now() + leaderDeadlineMs;
  for (;;) {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [...names] });
      if (topics.every(({ partitions }) => partitions.length > 0 && partitions.every(({ leader }) => leader >= 0)))
        return;
      if (Date.now() > deadline) {
        throw new FatalError(`topics ${names.join(', ')} have no leaders after ${leaderDeadlineMs / 1000} s`, {
          code: 'unexpected',
        });
      }
    } catch (error) {
      if (error instanceof FatalError || Date.now() > deadline) throw error;
    }
    await sleep(50);
  }
}

/**
 * Creates missing topics and returns the names created and the differences of existing ones, which are never changed silently.
 * @throws FatalError when an existing topic has another number of partitions: that needs a new topic version and a drain.
 */
export async function applyTopics(options: {
  admin: Admin;
  catalogue: readonly Topic[];
  namespace: string | undefined;
  replicationFactor: number;
}): Promise<{ created: string[]; differences: TopicDifference[] }> {
  const { admin, namespace, replicationFactor } = options;
  const { missing, differences } = await findTopicDifferences(options);
  const repartitioned = differences.find(({ setting }) => setting === 'partitions');
  if (repartitioned !== undefined) {
    throw new FatalError(
      `topic ${repartitioned.topic} has ${repartitioned.found} partitions and the catalogue says ${repartitioned.expected}: a partition count never changes, make a new topic version`,
      { code: 'config-invalid' },
    );
  }
  const created = missing.map((topic) => ({ topic, name: inNamespace(topic.name, namespace) }));
  if (created.length > 0) {
    await admin.createTopics({
      // kafkajs gives up its own wait when the broker it asks has not heard of the new topic yet.
      waitForLeaders: false,
      topics: created.map(({ topic, name }) => ({
        topic: name,
        numPartitions: topic.partitions,
        replicationFactor,
        configEntries: configOf(topic, replicationFactor),
      })),
    });
    await waitForLeaders(
      admin,
      created.map(({ name }) => name),
    );
  }
  return { created: created.map(({ name }) => name), differences };
}
