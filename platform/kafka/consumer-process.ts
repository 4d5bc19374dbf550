// Wires one consumer group member from its settings: client, registry, decoder, offsets, dead letters, runner, health endpoints.
import type { GroupSettings } from '#platform/config/common-settings.ts';
import { createAvroDecoder, createAvroEncoder, type ParseResult } from '#platform/kafka/avro-codec.ts';
import { createBatchRunner } from '#platform/kafka/batch-runner.ts';
import { createDeadLetterPublisher } from '#platform/kafka/dead-letters.ts';
import { createKafka, type KafkaConfig } from '#platform/kafka/kafka-client.ts';
import { createKafkajsConsumer } from '#platform/kafka/kafkajs-consumer.ts';
import { createPlatformaticConsumer } from '#platform/kafka/platformatic-consumer.ts';
import { createOffsetStore } from '#platform/kafka/postgres-offsets.ts';
import type { KafkaRecord } from '#platform/kafka/record.ts';
import { createRecordProducer } from '#platform/kafka/record-producer.ts';
import { createRunnerMetrics } from '#platform/kafka/runner-metrics.ts';
import { createSchemaRegistry } from '#platform/kafka/schema-registry.ts';
import type { FlushPolicy, Sink } from '#platform/kafka/sink.ts';
import { createTopicInspector } from '#platform/kafka/topic-inspector.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { startOperationsServer } from '#platform/process/operations-server.ts';
import type { ProcessContext } from '#platform/process/run-main.ts';
import type { DeadLetterRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { inNamespace, type Topic, valueSubject } from '#schemas/topics.ts';

export type ConsumerSettings = {
  kafka: KafkaConfig & { namespace: string | undefined };
  group: GroupSettings;
  registry: { url: string };
  operations: { host: string; port: number };
  flush: FlushPolicy & { maxBufferedBytes: number; concurrency: number };
};

/** Starts a member of `groupId` on the topic and registers everything for release in the right order. */
export async function startConsumer<T, P>(options: {
  context: ProcessContext<ConsumerSettings>;
  groupId: string;
  topic: Topic;
  deadLetterTopic: Topic;
  pool: Pool;
  parse: (value: unknown, record: KafkaRecord) => ParseResult<T>;
  sink: Sink<T, P>;
}): Promise<void> {
  const { context, pool } = options;
  const { config, log, metrics, tracing, resources, fail } = context;
  const namespace = config.kafka.namespace;
  const topicName = inNamespace(options.topic.name, namespace);
  const deadLetterName = inNamespace(options.deadLetterTopic.name, namespace);
  const groupId = inNamespace(options.groupId, namespace);

  const kafka = createKafka({ ...config.kafka, clientId: options.groupId, log });
  const registry = createSchemaRegistry({ url: config.registry.url });
  const deadLetterSchema = loadRecordSchema(options.deadLetterTopic.valueSchema);
  const producer = createRecordProducer({ kafka });
  resources.defer(() => producer.disconnect());
  const inspector = createTopicInspector({
    kafka,
    connection: config.kafka,
    topic: topicName,
    clientId: options.groupId,
  });
  const runner = createBatchRunner<T, P>(
    {
      groupId,
      topic: topicName,
      flush: config.flush,
      maxBufferedBytes: config.flush.maxBufferedBytes,
      flushConcurrency: config.flush.concurrency,
      stallTimeoutMs: config.group.stallTimeoutMs,
    },
    {
      member:
        config.group.client === 'kafkajs'
          ? createKafkajsConsumer({ ...config.group, kafka, groupId, topic: topicName })
          : createPlatformaticConsumer({
              ...config.group,
              kafka: config.kafka,
              clientId: options.groupId,
              groupId,
              topic: topicName,
              log,
            }),
      inspector,
      offsets: createOffsetStore({ pool, groupId, topic: topicName, inspector }),
      pool,
      decoder: createAvroDecoder<T>({
        registry,
        readerSchema: loadRecordSchema(options.topic.valueSchema),
        parse: options.parse,
        maxValueBytes: options.topic.maxRecordBytes,
      }),
      sink: options.sink,
      publishDeadLetters: createDeadLetterPublisher({
        producer,
        topic: deadLetterName,
        groupId,
        encode: createAvroEncoder<DeadLetterRecord>({
          schema: deadLetterSchema,
          schemaId: await registry.idOf(valueSubject(deadLetterName), deadLetterSchema),
        }),
        now: Date.now,
      }),
      metrics: createRunnerMetrics(metrics, { partitionCount: options.topic.partitions }),
      tracing,
      log,
      now: Date.now,
      random: Math.random,
      fail,
    },
  );
  resources.use(
    await startOperationsServer({
      ...config.operations,
      metrics,
      readiness: () => ({ ready: runner.ready(), detail: { partitions: runner.partitions() } }),
    }),
  );
  resources.defer(() => runner.drain());
  await runner.start();
}
