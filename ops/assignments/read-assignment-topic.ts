// The compacted topic of assignments as it stands: the last record of each key, tombstones taken away.

import { FatalError } from '#platform/errors.ts';
import { createAvroDecoder } from '#platform/kafka/avro-codec.ts';
import type { Kafka } from '#platform/kafka/kafka-client.ts';
import { readTopic } from '#platform/kafka/read-topic.ts';
import type { SchemaRegistry } from '#platform/kafka/schema-registry.ts';
import type { AssignmentRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { topics } from '#schemas/topics.ts';

export type AssignmentTopic = {
  /** By record key, `experiment_id:unit_id`. */
  readonly assignments: ReadonlyMap<string, AssignmentRecord>;
  readonly recordCount: number;
  readonly tombstoneCount: number;
  /** The highest revision of any record; 0 without records. */
  readonly highestRevision: number;
};

export const assignmentKey = (experimentId: string, unitId: string): string => `${experimentId}:${unitId}`;

/**
 * Reads the topic to its present end. One relay publishes at a time and a key is always on one partition, so the last record of a key
 * is the newest; a repetition of an older state after it has a lower revision, and the higher one wins.
 * Holds every assignment in memory. @throws FatalError when a record cannot be decoded: guessing would lose an assignment.
 */
export async function readAssignmentTopic(deps: {
  kafka: Kafka;
  registry: Pick<SchemaRegistry, 'findById'>;
  topic: string;
}): Promise<AssignmentTopic> {
  const decoder = createAvroDecoder<AssignmentRecord>({
    registry: deps.registry,
    readerSchema: loadRecordSchema('assignment'),
    parse: (value) => ({ ok: true, value: value as AssignmentRecord }),
    maxValueBytes: topics.assignments.maxRecordBytes,
  });
  const records = (await readTopic(deps.kafka, deps.topic)).map((record) => ({
    ...record,
    topic: deps.topic,
    headers: {},
  }));
  await decoder.prepare(records);
  const assignments = new Map<string, AssignmentRecord>();
  let tombstoneCount = 0;
  let highestRevision = 0;
  for (const record of records) {
    const key = record.key?.toString('utf8') ?? '';
    if (record.value === null) {
      tombstoneCount += 1;
      assignments.delete(key);
      continue;
    }
    const decoded = decoder.decode(record);
    if (!decoded.ok) {
      throw new FatalError(
        `${deps.topic} partition ${record.partition} offset ${record.offset} cannot be used: ${decoded.rejection.error}`,
        { code: 'record-rejected' },
      );
    }
    const { value } = decoded;
    if (key !== assignmentKey(value.experiment_id, value.unit_id)) {
      throw new FatalError(
        `${deps.topic} partition ${record.partition} offset ${record.offset} has a key that is not that of its assignment`,
        { code: 'record-rejected' },
      );
    }
    highestRevision = Math.max(highestRevision, value.revision);
    const known = assignments.get(key);
    if (known === undefined || value.revision >= known.revision) assignments.set(key, value);
  }
  return { assignments, recordCount: records.length, tombstoneCount, highestRevision };
}
