// An encoder whose schema id is asked for at first use, so that a registry that is away delays publishing and nothing else.
import { createAvroEncoder } from '#platform/kafka/avro-codec.ts';
import type { SchemaRegistry } from '#platform/kafka/schema-registry.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { type RecordSchemaName, valueSubject } from '#schemas/topics.ts';

/** Asks until the registry has answered once. Rejects with a RetryableError while it is away. */
export function createLazyEncoder<Value>(options: {
  registry: Pick<SchemaRegistry, 'idOf'>;
  topic: string;
  schemaName: RecordSchemaName;
}): () => Promise<(value: Value) => Buffer> {
  let encode: ((value: Value) => Buffer) | undefined;
  return async () => {
    if (encode === undefined) {
      const schema = loadRecordSchema(options.schemaName);
      const schemaId = await options.registry.idOf(valueSubject(options.topic), schema);
      encode = createAvroEncoder<Value>({ schema, schemaId });
    }
    return encode;
  };
}
