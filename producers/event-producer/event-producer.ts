// The typed producer of events: checks, encodes and writes them to the topic with acks=all; services import it.
import avro from 'avsc';
import { type EventProblem, eventKeyOf, findEventProblem } from '#domain/event/parse-event.ts';
import { classifyError, describeError, RecordError } from '#platform/errors.ts';
import { createAvroEncoder } from '#platform/kafka/avro-codec.ts';
import type { Kafka } from '#platform/kafka/kafka-client.ts';
import { createRecordProducer } from '#platform/kafka/record-producer.ts';
import type { SchemaRegistry } from '#platform/kafka/schema-registry.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import {
  createSendQueue,
  type Delivery,
  type QueueDepth,
  type QueuedRecord,
  type QueueLimits,
  sizeOf,
} from '#producers/event-producer/send-queue.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { inNamespace, topics, valueSubject } from '#schemas/topics.ts';

/** An event that kept all rules, encoded under the registered schema id and ready to send. */
export type EncodedEvent = QueuedRecord & { readonly value: Buffer };
export type EncodeResult =
  | { readonly ok: true; readonly record: EncodedEvent }
  | { readonly ok: false; readonly problem: EventProblem };

/** The port: the real producer below and the fake beside it pass the same contract tests. */
export type EventProducer = {
  /** Checks an event against the rules and encodes it; never throws for a bad event. */
  encode(event: EventRecord): EncodeResult;
  /**
   * Writes encoded events and gives one outcome for each, in order, within the delivery timeout. Sends at the same time share
   * produce requests. @throws ProducerOverloadedError when the queue is full: then nothing was sent.
   */
  sendEach(records: readonly EncodedEvent[]): Promise<readonly Delivery[]>;
  /**
   * Checks, encodes and writes; resolves when all in-sync replicas have every event.
   * @throws InvalidEventError before anything is sent, naming the first bad field.
   * @throws RetryableError when Kafka did not acknowledge: repeating the same events (same ids and times) is safe.
   */
  send(events: readonly EventRecord[]): Promise<void>;
  depth(): QueueDepth;
  /** The last produce request failed, or the one in flight takes too long: Kafka is probably away. False until the first request. */
  isFailing(): boolean;
  /** Takes nothing more, waits for what is in flight and disconnects. */
  [Symbol.asyncDispose](): Promise<void>;
};

/** An event breaks a rule of the contract and was not sent. `field` is a path such as `events[2].metrics.click`. */
export class InvalidEventError extends RecordError {
  readonly field: string;
  constructor(problem: EventProblem) {
    super(`${problem.field} ${problem.message}`, { code: 'record-rejected' });
    this.field = problem.field;
  }
}

/** Room for the header of a record batch, which counts against the topic's largest record. */
const batchHeaderBytes = 1_024;
export const maxEventBytes = topics.events.maxRecordBytes - batchHeaderBytes;

export const defaultQueueLimits: QueueLimits = {
  // kafkajs groups the records of a request by copying arrays: the cost grows with the square of their number.
  maxRequestRecords: 2_000,
  maxRequestBytes: maxEventBytes,
  maxQueuedRecords: 50_000,
  maxQueuedBytes: 32 * 1_024 * 1_024,
  deliveryTimeoutMs: 10_000,
};

export type EventProducerOptions = {
  kafka: Kafka;
  registry: Pick<SchemaRegistry, 'idOf'>;
  /** Prefix of the topic, for several environments on one cluster. */
  namespace: string | undefined;
  /** Bounds of accepted event times: the same settings as the consumers'. */
  eventTime: { readonly earliestMs: number; readonly maxAheadMs: number };
  limits?: Partial<QueueLimits>;
  log: Logger;
  metrics: Metrics;
  now?: () => number;
};

/** Looks the registered schema id up once; the registry is not asked again. Never registers anything. */
export async function createEventProducer(options: EventProducerOptions): Promise<EventProducer> {
  const { log, metrics } = options;
  const topic = inNamespace(topics.events.name, options.namespace);
  const schema = loadRecordSchema(topics.events.valueSchema);
  const schemaId = await options.registry.idOf(valueSubject(topic), schema);
  const records = createRecordProducer({ kafka: options.kafka });
  const requestSeconds = metrics.histogram(
    'event_producer_request_duration_seconds',
    'Time from a produce request to the acknowledgement of all in-sync replicas',
    ['outcome'],
  );
  const requestRecords = metrics.counter(
    'event_producer_records_total',
    'Records by outcome of their produce request',
    ['outcome'],
  );
  let failing = false;
  const queue = createSendQueue({
    limits: { ...defaultQueueLimits, ...options.limits },
    write: async (batch) => {
      const startedAt = performance.now();
      const observe = (outcome: 'acknowledged' | 'failed'): void => {
        requestSeconds.observe({ outcome }, (performance.now() - startedAt) / 1_000);
        requestRecords.inc({ outcome }, batch.length);
      };
      try {
        await records.send(topic, batch);
      } catch (error) {
        observe('failed');
        if (classifyError(error) === 'fatal') log.error({ topic, cause: describeError(error) }, 'Kafka refuses events');
        else if (!failing) log.warn({ topic, cause: describeError(error) }, 'Kafka does not acknowledge events');
        failing = true;
        throw error;
      }
      observe('acknowledged');
      if (failing) log.info({ topic }, 'Kafka acknowledges events again');
      failing = false;
    },
  });
  const encode = createEventEncoder({ schemaId, eventTime: options.eventTime, now: options.now ?? Date.now });
  return {
    encode,
    sendEach: (batch) => queue.add(batch),
    send: async (events) => {
      const deliveries = await queue.add(encodeAll(events, encode));
      const failed = deliveries.find((delivery) => delivery.status !== 'acknowledged');
      if (failed !== undefined) throw failed.error;
    },
    depth: () => queue.depth(),
    isFailing: () => failing || queue.isStuck(),
    [Symbol.asyncDispose]: async () => {
      await queue.drain();
      await records.disconnect();
    },
  };
}

/** All records, or an InvalidEventError for the first bad event. */
export function encodeAll(events: readonly EventRecord[], encode: EventProducer['encode']): EncodedEvent[] {
  return events.map((event, index) => {
    const result = encode(event);
    if (result.ok) return result.record;
    throw new InvalidEventError({ ...result.problem, field: `events[${index}].${result.problem.field}` });
  });
}

/** The pure half of the producer: rules, Avro, key. */
export function createEventEncoder(options: {
  schemaId: number;
  eventTime: { readonly earliestMs: number; readonly maxAheadMs: number };
  now: () => number;
}): EventProducer['encode'] {
  const schema = loadRecordSchema(topics.events.valueSchema);
  const encodeValue = createAvroEncoder<EventRecord>({ schema, schemaId: options.schemaId });
  const type = avro.Type.forSchema(schema) as avro.types.RecordType;
  const { earliestMs, maxAheadMs } = options.eventTime;

  /** Only for values that the types forbid: names the field whose type is wrong. */
  const problemOfShape = (event: EventRecord): EventProblem | undefined => {
    // Avro would fill a missing field with its default; here it is a mistake of the caller.
    const missing = type.fields.find(({ name }) => event[name as keyof EventRecord] === undefined);
    if (missing !== undefined) return { field: missing.name, message: 'is missing' };
    let problem: EventProblem | undefined;
    const valid = type.isValid(event, {
      errorHook: (path, value, expected) => {
        problem ??= { field: path.join('.'), message: `must be ${expected.toString()}, not ${typeof value}` };
      },
    });
    return valid ? undefined : (problem ?? { field: 'event', message: 'must be an event' });
  };

  return (event) => {
    try {
      const problem = findEventProblem(event, { earliestMs, latestMs: options.now() + maxAheadMs });
      if (problem !== undefined) return { ok: false, problem };
      const record = { key: eventKeyOf(event), value: encodeValue(event) };
      const bytes = sizeOf(record);
      if (bytes > maxEventBytes) {
        const field = Buffer.byteLength(event.payload ?? '') * 2 > bytes ? 'payload' : 'event';
        return {
          ok: false,
          problem: {
            field,
            message: `is too large: ${bytes} bytes when encoded; at most ${maxEventBytes} are accepted`,
          },
        };
      }
      return { ok: true, record: { ...record, bytes } };
    } catch (error) {
      const problem = problemOfShape(event);
      if (problem === undefined) throw error;
      return { ok: false, problem };
    }
  };
}
