// Creates the topics of the catalogue and reports where an existing topic differs from it.
import type { Admin } from 'kafkajs';
import { FatalError } from '#platform/errors.ts';
import { inNamespace, type Topic } from '#schemas/topics.ts';

export type TopicDifference = { topic: string; setting: string; found: string; expected: string };

function configOf(topic: Topic): { name: string; value: string }[] {
  return [
    { name: 'cleanup.policy', value: topic.cleanup },
    { name: 'message.timestamp.type', value: 'LogAppendTime' },
    { name: 'max.message.bytes', value: String(topic.maxRecordBytes) },
    { name: 'retention.ms', value: topic.retentionMs === null ? '-1' : String(topic.retentionMs) },
    ...(topic.cleanup === 'compact' ? [{ name: 'min.compaction.lag.ms', value: '0' }] : []),
  ];
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
  const existing = new Set(await admin.listTopics());
  const wanted = options.catalogue.map((topic) => ({ topic, name: inNamespace(topic.name, namespace) }));
  const missing = wanted.filter(({ name }) => !existing.has(name));
  if (missing.length > 0) {
    await admin.createTopics({
      waitForLeaders: true,
      topics: missing.map(({ topic, name }) => ({
        topic: name,
        numPartitions: topic.partitions,
        replicationFactor,
        configEntries: configOf(topic),
      })),
    });
  }
  const present = wanted.filter(({ name }) => existing.has(name));
  const differences: TopicDifference[] = [];
  if (present.length > 0) {
    const metadata = await admin.fetchTopicMetadata({ topics: present.map(({ name }) => name) });
    for (const { name, partitions } of metadata.topics) {
      const expected = present.find((entry) => entry.name === name)!.topic.partitions;
      if (partitions.length !== expected) {
        throw new FatalError(
          `topic ${name} has ${partitions.length} partitions and the catalogue says ${expected}: a partition count never changes, make a new topic version`,
          { code: 'config-invalid' },
        );
      }
    }
    const described = await admin.describeConfigs({
      includeSynonyms: false,
      resources: present.map(({ name }) => ({ type: 2, name })),
    });
    for (const resource of described.resources) {
      const topic = present.find((entry) => entry.name === resource.resourceName)!.topic;
      for (const { name, value } of configOf(topic)) {
        const found = resource.configEntries.find((entry) => entry.configName === name)?.configValue ?? 'nothing';
        if (found !== value) differences.push({ topic: resource.resourceName, setting: name, found, expected: value });
      }
    }
  }
  return { created: missing.map(({ name }) => name), differences };
}
