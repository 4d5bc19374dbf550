// Connections of an operator's command, opened for its duration.

import type { TopicInspector } from '#platform/kafka/consumer-port.ts';
import { createKafka, type Kafka } from '#platform/kafka/kafka-client.ts';
import { createSchemaRegistry, type SchemaRegistry } from '#platform/kafka/schema-registry.ts';
import { createTopicInspector } from '#platform/kafka/topic-inspector.ts';
import { createObjectStore, type ObjectStore } from '#platform/object-store/object-store.ts';
import { createPostgresPool, type Pool } from '#platform/postgres/pool.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { type ConsumerGroupName, inNamespace, type TopicKey, topics } from '#schemas/topics.ts';
import type { ArchiveConfig, ClusterConfig } from './cluster-config.ts';

export type Cluster = {
  readonly kafka: Kafka;
  readonly pool: Pool;
  readonly registry: SchemaRegistry;
  readonly namespace: string | undefined;
  readonly erasureKey: string | undefined;
  topicName(topic: TopicKey): string;
  /** Name of a group on the cluster and in exp.consumer_offsets. */
  groupName(group: ConsumerGroupName): string;
  inspector(topicName: string): TopicInspector;
};

export type ArchiveCluster = Cluster & { readonly objectStore: ObjectStore };

const clientId = 'ops';
/** Recounts and rebuilds read whole days: a statement may take long, and the person at the terminal can stop it. */
const statementTimeoutMs = 3_600_000;

export function openCluster(config: ClusterConfig, resources: AsyncDisposableStack): Cluster {
  const pool = createPostgresPool({ ...config.postgres, applicationName: clientId, statementTimeoutMs });
  resources.defer(() => pool.end());
  // Without a log: what fails is thrown and printed, and stdout belongs to the result.
  const kafka = createKafka({ ...config.kafka, clientId, log: createSilentLogger() });
  const namespace = config.kafka.namespace;
  return {
    kafka,
    pool,
    registry: createSchemaRegistry({ url: config.registry.url }),
    namespace,
    erasureKey: config.erasureKey,
    topicName: (topic) => inNamespace(topics[topic].name, namespace),
    groupName: (group) => inNamespace(group, namespace),
    inspector: (topic) => createTopicInspector({ kafka, connection: config.kafka, topic, clientId }),
  };
}

export function openArchiveCluster(config: ArchiveConfig, resources: AsyncDisposableStack): ArchiveCluster {
  const objectStore = createObjectStore(config.objectStore);
  resources.defer(() => objectStore.close());
  return { ...openCluster(config, resources), objectStore };
}

/** The catalogue's groups and the topic that each reads. */
export const groupsOfCatalogue: readonly { readonly group: ConsumerGroupName; readonly topic: TopicKey }[] = (
  Object.keys(topics) as TopicKey[]
).flatMap((topic) => topics[topic].groups.map((group) => ({ group, topic })));
