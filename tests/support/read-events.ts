// Events on a test's topic as the consumers' decoder reads them.
import { createAvroDecoder } from '#platform/kafka/avro-codec.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { topics as catalogue } from '#schemas/topics.ts';
import type { TestTopics } from '#tests/support/kafka.ts';

export type ReadEvent = { readonly event: EventRecord; readonly partition: number; readonly key: string };

/** In partition and offset order. @throws when one cannot be decoded: the producers under test must not write such records. */
export async function readEvents(topics: TestTopics): Promise<ReadEvent[]> {
  const records = (await topics.readAll('events')).map((record) => ({
    ...record,
    topic: topics.name('events'),
    headers: {},
  }));
  const decoder = createAvroDecoder<EventRecord>({
    registry: topics.registry,
    readerSchema: loadRecordSchema('event'),
    maxValueBytes: catalogue.events.maxRecordBytes,
    parse: (value) => ({ ok: true, value: value as EventRecord }),
  });
  await decoder.prepare(records);
  return records.map((record) => {
    const decoded = decoder.decode(record);
    if (!decoded.ok) throw new Error(decoded.rejection.error);
    return { event: decoded.value, partition: record.partition, key: record.key?.toString() ?? '' };
  });
}
