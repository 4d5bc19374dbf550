// Fills the events topic before a measurement, encoded as producers do it.
import { eventKeyOf } from '#domain/event/parse-event.ts';
import { createAvroEncoder } from '#platform/kafka/avro-codec.ts';
import { createRecordProducer, type OutgoingRecord } from '#platform/kafka/record-producer.ts';
import { createSchemaRegistry } from '#platform/kafka/schema-registry.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { topics, valueSubject } from '#schemas/topics.ts';
import type { BenchStack } from './bench-stack.ts';

/** Encodes events under the registered schema id. */
export async function createEventEncoder(bench: BenchStack): Promise<(event: EventRecord) => OutgoingRecord> {
  const schema = loadRecordSchema(topics.events.valueSchema);
  const registry = createSchemaRegistry({ url: bench.endpoints.schemaRegistry.url });
  const encode = createAvroEncoder<EventRecord>({
    schema,
    schemaId: await registry.idOf(valueSubject(bench.eventsTopic), schema),
  });
  return (event) => ({ key: eventKeyOf(event), value: encode(event) });
}

const recordsPerSend = 2_000;
const maxBytesPerSend = 700_000;

/** Sends all events and returns how many and how many bytes of values they were. */
export async function fillTopic(
  bench: BenchStack,
  events: Iterable<EventRecord>,
): Promise<{ records: number; bytes: number }> {
  const encode = await createEventEncoder(bench);
  const producer = createRecordProducer({ kafka: bench.kafka });
  const total = { records: 0, bytes: 0 };
  let waiting: OutgoingRecord[] = [];
  let waitingBytes = 0;
  let sending: Promise<void> = Promise.resolve();
  const flush = async (): Promise<void> => {
    const records = waiting;
    total.records += records.length;
    total.bytes += waitingBytes;
    waiting = [];
    waitingBytes = 0;
    // The next records are encoded while these are on their way.
    await sending;
    sending = producer.send(bench.eventsTopic, records);
  };
  try {
    for (const event of events) {
      const record = encode(event);
      waiting.push(record);
      waitingBytes += record.value!.length;
      if (waiting.length >= recordsPerSend || waitingBytes >= maxBytesPerSend) await flush();
    }
    await flush();
    await sending;
  } finally {
    await producer.disconnect();
  }
  return total;
}
