// Generated from schemas/*.avsc by "npm run generate": do not edit.
export type EventRecord = {
  event_id: string;
  event_type: string;
  unit_type: string;
  unit_id: string;
  experiments: { experiment_id: string; variant_id: string }[];
  context: Record<string, null | boolean | number | string>;
  metrics: Record<string, number>;
  payload: null | string;
  event_time: number;
  ingest_time: number;
  producer: string;
};

export type AssignmentRecord = {
  experiment_id: string;
  experiment_key: string;
  unit_type: string;
  unit_id: string;
  variant_id: string;
  variant_name: string;
  hash_bucket: number;
  experiment_version: number;
  probability: number;
  enrolment_share: number;
  source: string;
  assigned_at: number;
  revision: number;
};

export type DefinitionRecord = {
  experiment_id: string;
  experiment_key: string;
  iteration: number;
  version: number;
  status: string;
  definition: string;
  changed_at: number;
  revision: number;
};

export type DeadLetterRecord = {
  group_id: string;
  source_topic: string;
  source_partition: number;
  source_offset: number;
  source_timestamp: number;
  stage: string;
  reason: string;
  error: string;
  event_id: null | string;
  experiment_ids: string[];
  key: null | Buffer;
  value: null | Buffer;
  headers: { name: string; value: Buffer }[];
  failed_at: number;
};
