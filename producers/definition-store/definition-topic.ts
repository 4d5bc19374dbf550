// Reads exp.definitions.v1 as it grows: how instances hear of changes while Postgres is away.
import { describeError } from '#platform/errors.ts';
import { createAvroDecoder } from '#platform/kafka/avro-codec.ts';
import type { Kafka } from '#platform/kafka/kafka-client.ts';
import type { SchemaRegistry } from '#platform/kafka/schema-registry.ts';
import { followTopic } from '#platform/kafka/topic-follower.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { DefinitionRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { topics } from '#schemas/topics.ts';
import { type DefinitionDocument, fromDefinitionDocument } from './definition-document.ts';
import type { StoredDefinition } from './definition-rows.ts';

function toStoredDefinition(record: DefinitionRecord): StoredDefinition {
  const experiment = fromDefinitionDocument(JSON.parse(record.definition) as DefinitionDocument);
  if (experiment.experimentId !== record.experiment_id || experiment.version !== record.version)
    throw new TypeError('the record is about another definition than the one it holds');
  return { experiment, updatedAtMs: record.changed_at };
}

/**
 * Calls back with every definition on the topic, oldest first, and with each new one. Several records of one experiment may come in
 * any order after a change of relays: the higher version is the newer one. A record that cannot be read is logged and passed over,
 * because Postgres says the same.
 */
export function followDefinitionTopic(options: {
  kafka: Kafka;
  registry: Pick<SchemaRegistry, 'findById'>;
  /** Its name on the cluster. */
  topic: string;
  onDefinition: (definition: StoredDefinition) => void;
  log: Logger;
}): AsyncDisposable {
  const { topic, log } = options;
  const decoder = createAvroDecoder<StoredDefinition>({
    registry: options.registry,
    readerSchema: loadRecordSchema('definition'),
    maxValueBytes: topics.definitions.maxRecordBytes,
    parse: (value) => {
      try {
        return { ok: true, value: toStoredDefinition(value as DefinitionRecord) };
      } catch (error) {
        return { ok: false, rejection: { stage: 'decode', reason: 'rule-violated', error: describeError(error) } };
      }
    },
  });
  return followTopic({
    kafka: options.kafka,
    topic,
    log,
    onRecords: async (records) => {
      await decoder.prepare(records);
      for (const record of records) {
        // Definitions are archived and not deleted; a tombstone is about a key that Postgres does not have.
        if (record.value === null) continue;
        const decoded = decoder.decode(record);
        if (decoded.ok) options.onDefinition(decoded.value);
        else {
          const { error } = decoded.rejection;
          log.error({ topic, offset: String(record.offset), cause: error }, 'a definition on the topic cannot be read');
        }
      }
    },
  });
}
