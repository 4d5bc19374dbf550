// Generated from schemas/*.avsc by "npm run generate": do not edit.
/** One thing that happened to one unit. Identity: (event_id, UTC day of event_time). */
export type EventRecord = {
  /** UUID in canonical lower-case form */
  event_id: string;
  event_type: string;
  unit_type: string;
  unit_id: string;
  /** Experiments the unit was in when this happened, each at most once */
  experiments: { experiment_id: string; variant_id: string }[];
  /** Flat attributes of the situation */
  context: Record<string, null | boolean | number | string>;
  /** Finite numbers by metric name */
  metrics: Record<string, number>;
  /** JSON text for domain content, such as a plan */
  payload: null | string;
  /** When it happened, by the producer's clock */
  event_time: number;
  /** When it was accepted */
  ingest_time: number;
  /** Name of the producer (API key name or service name) */
  producer: string;
};

/** The stored, immutable decision which variant a unit has in an experiment. */
export type AssignmentRecord = {
  experiment_id: string;
  experiment_key: string;
  unit_type: string;
  unit_id: string;
  variant_id: string;
  variant_name: string;
  /** 0..9999 */
  hash_bucket: number;
  /** Audited version of the definition at assignment */
  experiment_version: number;
  /** Probability of this variant given enrolment, at assignment */
  probability: number;
  /** Share of units enrolled at that time */
  enrolment_share: number;
  /** hashed, forced or imported */
  source: string;
  assigned_at: number;
  /** Grows with every record of this key; the higher one wins */
  revision: number;
};

/** The current definition of one experiment, for every service instance and client that follows changes. */
export type DefinitionRecord = {
  experiment_id: string;
  experiment_key: string;
  iteration: number;
  version: number;
  status: string;
  /** JSON text of the whole definition */
  definition: string;
  changed_at: number;
  /** Grows with every record of this key; the higher one wins */
  revision: number;
};

/** A record that a consumer group could not use, with its original bytes. Identity: group and source position. */
export type DeadLetterRecord = {
  group_id: string;
  source_topic: string;
  source_partition: number;
  source_offset: number;
  /** Broker append time */
  source_timestamp: number;
  /** decode, validate or sink */
  stage: string;
  /** Typed reason, see schemas/dead-letter-reasons.ts */
  reason: string;
  /** What was wrong, in words */
  error: string;
  event_id: null | string;
  experiment_ids: string[];
  key: null | Buffer;
  value: null | Buffer;
  headers: { name: string; value: Buffer }[];
  failed_at: number;
};

/** A broken guardrail stopped enrolment and delivery of an experiment. */
export type GuardrailActionRecord = {
  /** UUID; the same when the record is repeated */
  action_id: string;
  experiment_id: string;
  experiment_key: string;
  iteration: number;
  /** The version that the action made */
  experiment_version: number;
  /** The treatment whose effect broke the guardrail */
  variant_id: string;
  variant_name: string;
  metric_name: string;
  /** JSON text: scale, estimate, interval, bound, alpha, units */
  evidence: string;
  /** The same in one sentence */
  summary: string;
  acted_at: number;
};
