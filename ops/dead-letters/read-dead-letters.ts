// Reads the dead-letter topic and what operators did before, and folds both into letters.
import { createAvroDecoder } from '#platform/kafka/avro-codec.ts';
import { findSpans, scanTopic } from '#platform/kafka/scan-topic.ts';
import type { DeadLetterRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { topics } from '#schemas/topics.ts';
import type { Cluster } from '../cluster/cluster.ts';
import {
  type DeadLetter,
  type DeadLetterAction,
  type DeadLetterFilter,
  foldDeadLetters,
  matchesFilter,
} from './dead-letter.ts';

export type DeadLetters = {
  readonly letters: readonly DeadLetter[];
  /** Records of the dead-letter topic that are no dead letters: somebody else wrote them. */
  readonly unreadable: number;
};

/** The letters that the filter means. With `from`, what failed only before it is not read at all. */
export async function readDeadLetters(
  cluster: Pick<Cluster, 'kafka' | 'pool' | 'registry' | 'topicName'>,
  filter: DeadLetterFilter,
): Promise<DeadLetters> {
  const topic = cluster.topicName('eventsDeadLetter');
  const decoder = createAvroDecoder<DeadLetterRecord>({
    registry: cluster.registry,
    readerSchema: loadRecordSchema(topics.eventsDeadLetter.valueSchema),
    parse: (value) => ({ ok: true, value: value as DeadLetterRecord }),
    maxValueBytes: topics.eventsDeadLetter.maxRecordBytes,
  });
  const records: DeadLetterRecord[] = [];
  let unreadable = 0;
  // A letter is appended after its failure: nothing that failed at or after `from` was appended before it.
  const spans = await findSpans(
    cluster.kafka,
    topic,
    filter.from === undefined ? {} : { fromMs: filter.from.getTime() - clockSkewMs },
  );
  await scanTopic({
    kafka: cluster.kafka,
    topic,
    spans,
    visit: async (record) => {
      await decoder.prepare([record]);
      const decoded = decoder.decode(record);
      if (decoded.ok) records.push(decoded.value);
      else unreadable += 1;
    },
  });
  const actions = await cluster.pool.query<{
    group_id: string;
    source_topic: string;
    source_partition: number;
    source_offset: bigint;
    action: DeadLetterAction['action'];
  }>('SELECT group_id, source_topic, source_partition, source_offset, action FROM exp.dead_letter_actions');
  const letters = foldDeadLetters(
    records,
    actions.rows.map((row) => ({
      groupId: row.group_id,
      topic: row.source_topic,
      partition: row.source_partition,
      offset: row.source_offset,
      action: row.action,
    })),
  );
  return { letters: letters.filter((letter) => matchesFilter(letter, filter)), unreadable };
}

/** The clock of a consumer may be this far from the broker's. */
const clockSkewMs = 300_000;
