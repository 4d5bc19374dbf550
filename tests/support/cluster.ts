// For tests of the operators' commands: their connections on a test database and test topics.
import type { ArchiveCluster } from '#ops/cluster/cluster.ts';
import { plaintext } from '#platform/kafka/kafka-client.ts';
import { createTopicInspector } from '#platform/kafka/topic-inspector.ts';
import { createObjectStore } from '#platform/object-store/object-store.ts';
import type { TestDatabase } from '#tests/support/database.ts';
import type { TestTopics } from '#tests/support/kafka.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

/** With the rights of the operator's role. Close its object store at the end. */
export function createTestCluster(database: TestDatabase, kafka: TestTopics): ArchiveCluster {
  const endpoints = stackEndpoints();
  const { objectStoreBucket, ...store } = endpoints.objectStore;
  return {
    kafka: kafka.kafka,
    pool: database.poolAs('operator'),
    registry: kafka.registry,
    namespace: kafka.namespace,
    erasureKey: undefined,
    topicName: (topic) => kafka.name(topic),
    groupName: (group) => `${kafka.namespace}.${group}`,
    inspector: (topic) =>
      createTopicInspector({
        kafka: kafka.kafka,
        connection: plaintext(endpoints.kafka.brokers),
        topic,
        clientId: 'test-ops',
      }),
    objectStore: createObjectStore({ ...store, bucket: objectStoreBucket }),
  };
}
