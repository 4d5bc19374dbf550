// Baseline process: the kafkajs producer alone, with acks=all: batches that are encoded before, a fixed number under way.
//
// kafkajs as it comes, with its own partitioner and without idempotence. Argument: ProduceOptions as JSON; prints one JSON line.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import { createAvroEncoder } from '#platform/kafka/avro-codec.ts';
import { createKafka, plaintext } from '#platform/kafka/kafka-client.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { topics } from '#schemas/topics.ts';
import { createEvents } from '../support/workload.ts';

export type ProduceOptions = {
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly schemaId: number;
  readonly recordsPerBatch: number;
  /** Sends under way at the same time. */
  readonly concurrency: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
};

const options = JSON.parse(process.argv[2] ?? '') as ProduceOptions;
const preparedBatches = 100;

const encode = createAvroEncoder<EventRecord>({
  schema: loadRecordSchema(topics.events.valueSchema),
  schemaId: options.schemaId,
});
const messages = [
  ...createEvents({
    count: preparedBatches * options.recordsPerBatch,
    units: 10_000,
    startMs: Date.now() - 7_200_000,
    seed: 11,
  }),
].map((event) => ({ key: eventKeyOf(event), value: encode(event) }));
const batches = Array.from({ length: preparedBatches }, (_, index) =>
  messages.slice(index * options.recordsPerBatch, (index + 1) * options.recordsPerBatch),
);

const producer = createKafka({
  ...plaintext(options.brokers),
  clientId: `bench-produce-${randomUUID().slice(0, 8)}`,
  log: createSilentLogger(),
}).producer({ allowAutoTopicCreation: false });
await producer.connect();

let sent = 0;
let next = 0;
let ended = false;
const loops = Array.from({ length: options.concurrency }, async () => {
  while (!ended) {
    next = (next + 1) % batches.length;
    await producer.send({ topic: options.topic, acks: -1, messages: batches[next]! });
    sent += options.recordsPerBatch;
  }
});
await sleep(options.warmUpMs);
const before = { sent, atMs: performance.now(), cpu: process.cpuUsage() };
await sleep(options.measureMs);
const records = sent - before.sent;
const seconds = (performance.now() - before.atMs) / 1_000;
const cpu = process.cpuUsage(before.cpu);
ended = true;
await Promise.all(loops);
await producer.disconnect();
process.stdout.write(
  `${JSON.stringify({ perSecond: records / seconds, cpuMs: (cpu.user + cpu.system) / 1_000, records })}\n`,
);
