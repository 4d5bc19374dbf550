// Both adapters of the consumer port keep the same contract against real Kafka.
import { afterAll } from 'vitest';
import {
  type ConsumerAdapter,
  describeConsumerContract,
  javaCodecs,
  javaValueOf,
} from '#platform/kafka/consumer-port.contract.ts';
import { createKafka, type Kafka, plaintext } from '#platform/kafka/kafka-client.ts';
import { createKafkajsConsumer } from '#platform/kafka/kafkajs-consumer.ts';
import { createPlatformaticConsumer } from '#platform/kafka/platformatic-consumer.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { runKafkaTool } from '#tests/support/kafka-tools.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

const brokers = (): readonly string[] => stackEndpoints().kafka.brokers;
const log = createSilentLogger();
const config = () => plaintext(brokers());
const kafka = (): Kafka => createKafka({ ...config(), clientId: 'contract', log });

const onKafkajs: ConsumerAdapter = {
  name: 'kafkajs',
  hasStaticMembership: false,
  create: (options) => createKafkajsConsumer({ ...options, kafka: kafka() }),
};
const onPlatformatic: ConsumerAdapter = {
  name: '@platformatic/kafka',
  hasStaticMembership: true,
  create: (options) => createPlatformaticConsumer({ ...options, kafka: config(), clientId: 'contract', log }),
};

let topics: TestTopics | undefined;
let written: Promise<string> | undefined;
afterAll(() => topics?.drop());

/** Each run of a Java tool takes seconds, so both adapters read the same topic. */
async function writeWithJava(): Promise<string> {
  topics = await createTestTopics(['definitions']);
  const topic = topics.name('definitions');
  for (const codec of javaCodecs) {
    await runKafkaTool(
      'org.apache.kafka.tools.ConsoleProducer',
      ['--bootstrap-server', brokers().join(','), '--topic', topic, '--compression-codec', codec].concat(
        ...['parse.key=true', 'parse.headers=true', 'null.marker=NULL'].map((name) => ['--reader-property', name]),
      ),
      `absent:NULL,codec:${codec}\t${codec}\t${javaValueOf(codec)}\n`,
    );
  }
  return topic;
}
const javaTopic = (): Promise<string> => (written ??= writeWithJava());

describeConsumerContract(onKafkajs, { kafka, neighbor: onPlatformatic, javaTopic });
describeConsumerContract(onPlatformatic, { kafka, neighbor: onKafkajs, javaTopic });
