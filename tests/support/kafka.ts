// Fresh topics with registered schemas per test, in a namespace of their own on the shared cluster.
import { randomBytes } from 'node:crypto';
import type { StackEndpoints } from '#infra/local/components.ts';
import { createAvroEncoder } from '#platform/kafka/avro-codec.ts';
import { createKafka, type Kafka, plaintext } from '#platform/kafka/kafka-client.ts';
import { readTopic, type TopicRecord } from '#platform/kafka/read-topic.ts';
import { createRecordProducer, type RecordProducer } from '#platform/kafka/record-producer.ts';
import { createSchemaRegistry, type SchemaRegistry } from '#platform/kafka/schema-registry.ts';
import { applyTopics } from '#platform/kafka/topic-admin.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { inNamespace, type TopicKey, topics, valueSubject } from '#schemas/topics.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

export type TestTopics = {
  readonly namespace: string;
  readonly kafka: Kafka;
  readonly registry: SchemaRegistry;
  name(topic: TopicKey): string;
  /** Encoder of a topic's value schema under its registered id. */
  encoder<T>(topic: TopicKey): Promise<(value: T) => Buffer>;
  producer(): RecordProducer;
  /** Every record of a topic from its start to its present end, in partition and offset order. */
  readAll(topic: TopicKey): Promise<TopicRecord[]>;
  /** Disconnects producers and deletes the topics. */
  drop(): Promise<void>;
};

/** Creates the wanted topics of the catalogue (all by default) on the shared stack, or another one, and registers their schemas. */
export async function createTestTopics(
  wanted: readonly TopicKey[] = Object.keys(topics) as TopicKey[],
  { kafka: cluster, schemaRegistry }: StackEndpoints = stackEndpoints(),
  replicationFactor = 1,
): Promise<TestTopics> {
  const namespace = `t${randomBytes(6).toString('hex')}`;
  const kafka = createKafka({
    ...plaintext(cluster.brokers),
    clientId: 'test',
    log: createSilentLogger(),
  });
  const registry = createSchemaRegistry({ url: schemaRegistry.url });
  const name = (topic: TopicKey): string => inNamespace(topics[topic].name, namespace);
  const admin = kafka.admin();
  await admin.connect();
  await applyTopics({ admin, catalogue: wanted.map((topic) => topics[topic]), namespace, replicationFactor });
  const ids = new Map<TopicKey, number>();
  for (const topic of wanted) {
    const { valueSchema, compatibility } = topics[topic];
    ids.set(topic, await registry.register(valueSubject(name(topic)), loadRecordSchema(valueSchema), compatibility));
  }
  const producers: RecordProducer[] = [];
  return {
    namespace,
    kafka,
    registry,
    name,
    encoder: async (topic) =>
      createAvroEncoder({ schema: loadRecordSchema(topics[topic].valueSchema), schemaId: ids.get(topic)! }),
    producer: () => {
      const producer = createRecordProducer({ kafka });
      producers.push(producer);
      return producer;
    },
    readAll: (topic) => readTopic(kafka, name(topic)),
    drop: async () => {
      await Promise.all(producers.map((producer) => producer.disconnect()));
      await admin.deleteTopics({ topics: wanted.map(name) });
      await admin.disconnect();
    },
  };
}
