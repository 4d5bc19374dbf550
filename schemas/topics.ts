// The topic catalogue: every topic, its contract, who writes it and who reads it. No topic name is typed anywhere else.

export const recordSchemas = {
  event: 'event.avsc',
  assignment: 'assignment.avsc',
  definition: 'definition.avsc',
  deadLetter: 'dead-letter.avsc',
  guardrailAction: 'guardrail-action.avsc',
} as const;
export type RecordSchemaName = keyof typeof recordSchemas;

type TopicBase = {
  readonly name: string;
  readonly purpose: string;
  readonly valueSchema: RecordSchemaName;
  readonly partitions: number;
  /** Largest record, in bytes; a dead letter wraps the record it is about and needs room for it. */
  readonly maxRecordBytes: number;
  readonly ordering: string;
  readonly writers: readonly string[];
  /** Consumer groups: each is a folder under consumers/. */
  readonly groups: readonly string[];
  /** Readers without a group of ours: services and clients that follow the topic from its start. */
  readonly followers: readonly string[];
  readonly deadLetterTopic: string | null;
  readonly compatibility: 'BACKWARD_TRANSITIVE' | 'FULL_TRANSITIVE';
};

/** A compacted topic needs a key on every record; the type makes it say which. */
export type Topic = TopicBase &
  (
    | {
        readonly cleanup: 'delete';
        readonly retentionMs: number;
        readonly key: string | null;
        readonly keyReason: string;
      }
    | { readonly cleanup: 'compact'; readonly retentionMs: null; readonly key: string; readonly keyReason: string }
  );

const dayMs = 86_400_000;
const mebibyte = 1024 * 1024;

export const topics = {
  events: {
    name: 'exp.events.v1',
    purpose: 'Everything that happened to units, as services report it',
    key: 'unit_type:unit_id',
    keyReason: "one unit's events stay in order",
    valueSchema: 'event',
    partitions: 12,
    maxRecordBytes: mebibyte,
    cleanup: 'delete',
    retentionMs: 14 * dayMs,
    ordering: 'per unit, as produced',
    writers: ['ingestion-service', 'event-producer'],
    groups: ['postgres-sink', 'parquet-archiver', 'metrics-aggregator', 'dataset-builder'],
    followers: [],
    deadLetterTopic: 'exp.events.dead-letter.v1',
    compatibility: 'BACKWARD_TRANSITIVE',
  },
  assignments: {
    name: 'exp.assignments.v1',
    purpose: 'The current assignment of every unit in every experiment',
    key: 'experiment_id:unit_id',
    keyReason: 'compaction keeps the latest record of each assignment',
    valueSchema: 'assignment',
    partitions: 12,
    maxRecordBytes: mebibyte,
    cleanup: 'compact',
    retentionMs: null,
    ordering: 'per assignment, by revision',
    writers: ['assignment-publisher'],
    groups: [],
    followers: ['services that keep assignments locally', 'ops assignments rebuild'],
    deadLetterTopic: null,
    compatibility: 'FULL_TRANSITIVE',
  },
  definitions: {
    name: 'exp.definitions.v1',
    purpose: 'The current definition of every experiment',
    key: 'experiment_id',
    keyReason: 'compaction keeps the latest definition of each experiment',
    valueSchema: 'definition',
    partitions: 1,
    maxRecordBytes: mebibyte,
    cleanup: 'compact',
    retentionMs: null,
    ordering: 'total: one partition',
    writers: ['assignment-publisher'],
    groups: [],
    followers: ['assignment-service', 'ingestion-service', 'services that evaluate locally'],
    deadLetterTopic: null,
    compatibility: 'FULL_TRANSITIVE',
  },
  guardrailActions: {
    name: 'exp.guardrail-actions.v1',
    purpose: 'Experiments that a broken guardrail stopped, for whoever wants to be told',
    key: 'experiment_id',
    keyReason: 'the actions on one experiment stay in order',
    valueSchema: 'guardrailAction',
    partitions: 1,
    maxRecordBytes: mebibyte,
    cleanup: 'delete',
    retentionMs: 90 * dayMs,
    ordering: 'total: one partition',
    writers: ['guardrail-monitor'],
    groups: [],
    followers: ['whoever wants to be told'],
    deadLetterTopic: null,
    compatibility: 'BACKWARD_TRANSITIVE',
  },
  eventsDeadLetter: {
    name: 'exp.events.dead-letter.v1',
    purpose: 'Records of exp.events.v1 that a group could not use, to inspect, fix and replay',
    key: 'group_id:source_topic:source_partition:source_offset',
    keyReason: 'the source position is the identity of a dead letter',
    valueSchema: 'deadLetter',
    partitions: 12,
    maxRecordBytes: 4 * mebibyte,
    cleanup: 'delete',
    retentionMs: 90 * dayMs,
    ordering: 'none',
    writers: ['postgres-sink', 'parquet-archiver', 'metrics-aggregator', 'dataset-builder'],
    groups: [],
    followers: ['ops dead-letters'],
    deadLetterTopic: null,
    compatibility: 'BACKWARD_TRANSITIVE',
  },
} as const satisfies Record<string, Topic>;

export type TopicKey = keyof typeof topics;
export type ConsumerGroupName = (typeof topics)[TopicKey]['groups'][number];

/** Name of a topic or group on the cluster; a namespace lets several environments share one. */
export function inNamespace(name: string, namespace: string | undefined): string {
  return namespace === undefined ? name : `${namespace}.${name}`;
}

/** Registry subject of a topic's value schema (TopicNameStrategy). */
export function valueSubject(topicName: string): string {
  return `${topicName}-value`;
}
