// Looks into dead letters: the event in the record as far as its bytes can be read, and whether its unit was erased.
import { createAvroDecoder } from '#platform/kafka/avro-codec.ts';
import type { KafkaRecord } from '#platform/kafka/record.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { topics } from '#schemas/topics.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { loadErasedUnits } from '../rebuild/load-erased-units.ts';
import type { DeadLetter } from './dead-letter.ts';

export type OpenedLetter = {
  readonly source: KafkaRecord;
  /** Whatever rule it breaks; null when the bytes cannot be read. */
  readonly event: EventRecord | null;
  readonly isOfErasedUnit: boolean;
};

/** @throws FatalError when units were erased and the key of their hashes is missing or another one. */
export async function createLetterOpener(
  cluster: Pick<Cluster, 'registry' | 'pool' | 'erasureKey'>,
): Promise<(letter: DeadLetter) => Promise<OpenedLetter>> {
  const erasedUnits = await loadErasedUnits(cluster.pool, cluster.erasureKey);
  const decoder = createAvroDecoder<EventRecord>({
    registry: cluster.registry,
    readerSchema: loadRecordSchema(topics.events.valueSchema),
    parse: (value) => ({ ok: true, value: value as EventRecord }),
    maxValueBytes: topics.eventsDeadLetter.maxRecordBytes,
  });
  return async (letter) => {
    const source = toSource(letter);
    await decoder.prepare([source]);
    const decoded = decoder.decode(source);
    const event = decoded.ok ? decoded.value : null;
    return { source, event, isOfErasedUnit: !erasedUnits.isEmpty && [event, unitOfKey(source.key)].some(isErased) };
  };

  function isErased(unit: { unit_type: string; unit_id: string } | null): boolean {
    return unit !== null && erasedUnits.pseudonymOf(unit) !== undefined;
  }
}

/** Of bytes that nobody can read the key may still say whose they are. */
function unitOfKey(key: Uint8Array | null): { unit_type: string; unit_id: string } | null {
  if (key === null) return null;
  const [unitType = '', ...rest] = Buffer.from(key).toString().split(':');
  return { unit_type: unitType, unit_id: rest.join(':') };
}

function toSource({ record }: DeadLetter): KafkaRecord {
  return {
    topic: record.source_topic,
    partition: record.source_partition,
    offset: BigInt(record.source_offset),
    key: record.key === null ? null : Buffer.from(record.key),
    value: record.value === null ? null : Buffer.from(record.value),
    headers: Object.fromEntries(record.headers.map(({ name, value }) => [name, Buffer.from(value)])),
    timestampMs: record.source_timestamp,
  };
}
