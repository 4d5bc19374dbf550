// An idempotent producer: a resolved send is on Kafka with acks=all, in order per key.
import kafkajs, { type ICustomPartitioner, type Kafka, type Producer } from 'kafkajs';
import { FatalError, RetryableError } from '#platform/errors.ts';
import { createKeyPartitioner } from '#platform/kafka/key-partitioner.ts';

export type OutgoingRecord = {
  /** Null only when a record without a key is sent on as it was. */
  key: string | Buffer | null;
  value: Buffer | null;
  headers?: Readonly<Record<string, string | Buffer>>;
};

export type RecordProducer = {
  /**
   * Writes the records of one topic and resolves when all in-sync replicas have them. One send at a time: others wait for it.
   * @throws RetryableError when Kafka did not acknowledge: the records may or may not be there.
   * @throws FatalError when they can never be written, for example because the topic does not exist.
   */
  send(topic: string, records: readonly OutgoingRecord[]): Promise<void>;
  disconnect(): Promise<void>;
};

const hopelessTypes = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_TOPIC_EXCEPTION',
  'TOPIC_AUTHORIZATION_FAILED',
  'INVALID_RECORD',
]);

/**
 * Connects lazily and replaces itself after every failure. A request that was written and not acknowledged has used up its sequence
 * numbers; kafkajs would give the same numbers to the next records, and the broker would acknowledge those as a repetition without
 * writing them. So nothing follows a failure under the same producer id. Partitioner: Kafka's murmur2.
 */
export function createRecordProducer(options: {
  kafka: Kafka;
  compression?: 'none' | 'gzip' | 'zstd';
  retries?: number;
}): RecordProducer {
  const { CompressionTypes } = kafkajs;
  const compression = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, zstd: CompressionTypes.ZSTD }[
    options.compression ?? 'none'
  ];
  let current: Promise<Producer> | undefined;
  /** Where the records of the send under way belong; a further attempt may place those without a key anew. */
  const wanted = new Set<number>();
  const createPartitioner: ICustomPartitioner = () => {
    const place = createKeyPartitioner();
    return (args) => {
      const partition = place(args);
      wanted.add(partition);
      return partition;
    };
  };

  const connect = async (): Promise<Producer> => {
    const producer = options.kafka.producer({
      createPartitioner,
      allowAutoTopicCreation: false,
      idempotent: true,
      // More than one request in flight can reorder after a retry: kafkajs does not hold back the later one.
      maxInFlightRequests: 1,
      retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: options.retries ?? 5 },
    });
    await producer.connect();
    return producer;
  };
  const drop = async (broken: Promise<Producer>): Promise<void> => {
    if (current === broken) current = undefined;
    await broken.then((producer) => producer.disconnect()).catch(() => undefined);
  };

  const sendNow = async (topic: string, records: readonly OutgoingRecord[]): Promise<void> => {
    current ??= connect();
    const mine = current;
    try {
      const producer = await mine;
      wanted.clear();
      const answers = await producer.send({
        topic,
        acks: -1,
        compression,
        messages: records.map((record) => ({
          key: record.key,
          value: record.value,
          ...(record.headers === undefined ? {} : { headers: { ...record.headers } }),
        })),
      });
      // kafkajs sends again only to brokers that have not answered. A partition that moved meanwhile to one that has is left out, and
      // the send counts as done.
      const answered = new Set(answers.map(({ partition }) => partition));
      const missing = [...wanted].filter((partition) => !answered.has(partition));
      if (missing.length > 0) throw new Error(`no answer for the partitions ${missing.sort().join(', ')}`);
    } catch (error) {
      await drop(mine);
      const inner = (error as { cause?: unknown }).cause ?? error;
      const type = (inner as { type?: string }).type ?? '';
      if (hopelessTypes.has(type))
        throw new FatalError(`Kafka refuses the records for ${topic}: ${type}`, {
          code: 'record-rejected',
          cause: error,
        });
      throw new RetryableError(`Kafka did not acknowledge records for ${topic}`, {
        code: 'dependency-unavailable',
        cause: error,
      });
    }
  };

  let before: Promise<unknown> = Promise.resolve();
  return {
    send: (topic, records) => {
      if (records.length === 0) return Promise.resolve();
      const mine = before.then(() => sendNow(topic, records));
      before = mine.catch(() => undefined);
      return mine;
    },
    disconnect: async () => {
      if (current !== undefined) await drop(current);
    },
  };
}
