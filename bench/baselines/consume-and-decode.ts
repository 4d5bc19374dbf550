// Baseline process: reads the events topic from its start with kafkajs and decodes every value with avsc, and does nothing else.
//
// Same client and fetch settings as the groups, the registered schema as it is, no rules, no copies of records. Prints one JSON line
// with the samples of its progress. Arguments: brokers, topic, number of records.
import { randomUUID } from 'node:crypto';
import avro from 'avsc';
import { createKafka, plaintext } from '#platform/kafka/kafka-client.ts';
import { fetchSettings } from '#platform/kafka/kafkajs-consumer.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { topics } from '#schemas/topics.ts';
import type { ProgressSample } from '../support/steady-rate.ts';

const [brokers = '', topic = '', records = ''] = process.argv.slice(2);
const wireHeaderBytes = 5;

const kafka = createKafka({
  ...plaintext(brokers.split(',')),
  clientId: 'bench-decode',
  log: createSilentLogger(),
});
const type = avro.Type.forSchema(loadRecordSchema(topics.events.valueSchema));
const consumer = kafka.consumer({ groupId: `bench-decode-${randomUUID()}`, ...fetchSettings });
const finished = Promise.withResolvers<void>();
const samples: ProgressSample[] = [];
let done = 0;
let cpuAtStart: NodeJS.CpuUsage | undefined;

await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatchAutoResolve: true,
  partitionsConsumedConcurrently: 16,
  eachBatch: async ({ batch, heartbeat }) => {
    cpuAtStart ??= process.cpuUsage();
    for (const { value } of batch.messages) type.fromBuffer(value!.subarray(wireHeaderBytes));
    done += batch.messages.length;
    samples.push({ atMs: performance.now(), done });
    await heartbeat();
    if (done >= Number(records)) finished.resolve();
  },
});
await finished.promise;
const cpu = process.cpuUsage(cpuAtStart);
process.stdout.write(`${JSON.stringify({ samples, cpuMs: (cpu.user + cpu.system) / 1_000 })}\n`);
process.exit(0);
