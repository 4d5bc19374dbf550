// Confluent wire format (magic byte 0, 4-byte schema id, Avro binary) over avsc, with reader-schema resolution per writer id.
import avro from 'avsc';
import type { DecodeResult, KafkaRecord, RecordDecoder, Rejection } from '#platform/kafka/record.ts';
import type { AvroSchema, SchemaRegistry } from '#platform/kafka/schema-registry.ts';

const headerBytes = 5;
/** An id that the registry did not know is asked for again after this time, in case it was registered meanwhile. */
const unknownIdMemoryMs = 30_000;

/** Encodes values of one schema under its registered id. Throws a TypeError naming the field when a value does not fit. */
export function createAvroEncoder<T>(options: { schema: AvroSchema; schemaId: number }): (value: T) => Buffer {
  const type = avro.Type.forSchema(options.schema);
  const header = Buffer.alloc(headerBytes);
  header.writeInt32BE(options.schemaId, 1);
  return (value) => Buffer.concat([header, type.toBuffer(value)]);
}

/** Schema id of a framed value, or null when the bytes are not framed. */
export function schemaIdOf(value: Buffer): number | null {
  return value.length > headerBytes && value[0] === 0 ? value.readInt32BE(1) : null;
}

type Reader = { readonly type: avro.Type; readonly resolver: avro.Resolver | undefined };
type ReaderState = Reader | { readonly unknownUntilMs: number } | { readonly unreadable: string };

export type ParseResult<T> = { ok: true; value: T } | { ok: false; rejection: Rejection };

/**
 * A decoder for one topic: any registered writer schema that resolves to the reader schema, then `parse`, which applies the
 * rules that the schema cannot say.
 */
export function createAvroDecoder<T>(options: {
  registry: Pick<SchemaRegistry, 'findById'>;
  readerSchema: AvroSchema;
  parse: (value: unknown, record: KafkaRecord) => ParseResult<T>;
  maxValueBytes: number;
  now?: () => number;
}): RecordDecoder<T> {
  const now = options.now ?? Date.now;
  const readerType = avro.Type.forSchema(options.readerSchema);
  const readers = new Map<number, ReaderState>();

  const load = async (id: number): Promise<void> => {
    const schema = await options.registry.findById(id);
    if (schema === null) {
      readers.set(id, { unknownUntilMs: now() + unknownIdMemoryMs });
      return;
    }
    try {
      const writerType = avro.Type.forSchema(schema);
      const same = writerType.fingerprint().equals(readerType.fingerprint());
      readers.set(id, { type: readerType, resolver: same ? undefined : readerType.createResolver(writerType) });
    } catch (error) {
      readers.set(id, { unreadable: error instanceof Error ? error.message : String(error) });
    }
  };

  const reject = (reason: Rejection['reason'], error: string): { ok: false; rejection: Rejection } => ({
    ok: false,
    rejection: { stage: 'decode', reason, error },
  });

  return {
    prepare: async (records) => {
      const missing = new Set<number>();
      for (const record of records) {
        const id = record.value === null ? null : schemaIdOf(record.value);
        if (id === null) continue;
        const state = readers.get(id);
        if (state === undefined || ('unknownUntilMs' in state && state.unknownUntilMs <= now())) missing.add(id);
      }
      for (const id of missing) await load(id);
    },
    decode: (record): DecodeResult<T> => {
      const value = record.value;
      if (value === null) return reject('undecodable', 'the value is null');
      if (value.length > options.maxValueBytes) {
        return reject(
          'too-large',
          `the value has ${value.length} bytes; at most ${options.maxValueBytes} are accepted`,
        );
      }
      const id = schemaIdOf(value);
      if (id === null) return reject('undecodable', 'the value does not start with the magic byte 0 and a schema id');
      const reader = readers.get(id);
      if (reader === undefined || 'unknownUntilMs' in reader)
        return reject('unknown-schema', `the registry has no schema with id ${id}`);
      if ('unreadable' in reader)
        return reject('schema-invalid', `schema ${id} cannot be read as this topic's schema: ${reader.unreadable}`);
      let decoded: unknown;
      try {
        decoded = reader.type.fromBuffer(value.subarray(headerBytes), reader.resolver);
      } catch (error) {
        return reject(
          'undecodable',
          `the bytes do not fit schema ${id}: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
      return options.parse(decoded, record);
    },
  };
}
