// Identity and offsets of one topic: which log this is, where it starts and ends.
import { Admin as IdentityAdmin } from '@platformatic/kafka';
import type { Kafka } from 'kafkajs';
import { FatalError, RetryableError } from '#platform/errors.ts';
import type { TopicInspector } from '#platform/kafka/consumer-port.ts';
import type { KafkaConfig } from '#platform/kafka/kafka-client.ts';
import { toConnectionOptions } from '#platform/kafka/platformatic-client.ts';

/** Asks Kafka about a topic. kafkajs does not read topic ids (they need a newer metadata request), so another client does. */
export function createTopicInspector(options: {
  kafka: Kafka;
  connection: KafkaConfig;
  topic: string;
  clientId: string;
}): TopicInspector {
  const { topic } = options;
  return {
    identity: async () => {
      const admin = new IdentityAdmin({
        clientId: options.clientId,
        ...toConnectionOptions(options.connection),
        retries: 3,
      });
      try {
        const metadata = await admin.metadata({ topics: [topic] });
        const found = metadata.topics.get(topic);
        if (found === undefined) {
          throw new FatalError(`topic ${topic} does not exist: run "ops deploy"`, { code: 'config-invalid' });
        }
        return { clusterId: metadata.id, topicId: found.id };
      } catch (error) {
        if (error instanceof FatalError) throw error;
        if (JSON.stringify(error, ['apiId', 'errors']).includes('UNKNOWN_TOPIC_OR_PARTITION')) {
          throw new FatalError(`topic ${topic} does not exist: run "ops deploy"`, {
            code: 'config-invalid',
            cause: error,
          });
        }
        throw new RetryableError(`Kafka does not describe topic ${topic}`, {
          code: 'dependency-unavailable',
          cause: error,
        });
      } finally {
        await admin.close().catch(() => undefined);
      }
    },
    offsets: async () => {
      const admin = options.kafka.admin();
      try {
        await admin.connect();
        const found = await admin.fetchTopicOffsets(topic);
        return new Map(
          found.map(
            ({ partition, low, high }) => [partition, { logStart: BigInt(low), highWatermark: BigInt(high) }] as const,
          ),
        );
      } catch (error) {
        // That the topic exists is `identity`'s to say: a broker that has just started may not know it for a moment.
        throw new RetryableError(`Kafka does not tell the offsets of topic ${topic}`, {
          code: 'dependency-unavailable',
          cause: error,
        });
      } finally {
        await admin.disconnect().catch(() => undefined);
      }
    },
  };
}
