// The rules of an event that its Avro schema cannot say, applied at the door and again by every consumer.
import { eventTypes } from '#schemas/event-types.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

export type EventTimeBounds = { readonly earliestMs: number; readonly latestMs: number };

/** What is wrong with an event: the field as a path, and what was expected. */
export type EventProblem = { readonly field: string; readonly message: string };

export const eventLimits = {
  unitIdLength: 256,
  experiments: 50,
  contextKeys: 100,
  contextTextLength: 4096,
  metrics: 100,
  payloadBytes: 512 * 1024,
  payloadDepth: 32,
  producerLength: 128,
} as const;

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const typeName = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
const fieldName = /^[A-Za-z_][A-Za-z0-9_.:/-]{0,127}$/;
/** Postgres stores neither NUL characters nor unpaired surrogates; JSON text can smuggle both in as escapes. */
const unstorableEscape = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/;

/** True for text that every store can hold: no NUL character, no unpaired surrogate. */
export function isStorableText(text: string): boolean {
  return !text.includes('\u0000') && text.isWellFormed();
}

export function isUuid(text: string): boolean {
  return uuid.test(text);
}

function jsonDepth(value: unknown, limit: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (limit === 0) return 1;
  let deepest = 0;
  for (const inner of Object.values(value)) deepest = Math.max(deepest, jsonDepth(inner, limit - 1));
  return deepest + 1;
}

function problemOfPayload(payload: string): EventProblem | undefined {
  if (payload.length > eventLimits.payloadBytes) {
    return {
      field: 'payload',
      message: `has ${payload.length} characters; at most ${eventLimits.payloadBytes} are accepted`,
    };
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(payload);
  } catch {
    return { field: 'payload', message: 'must be JSON text' };
  }
  if (jsonDepth(parsed, eventLimits.payloadDepth) > eventLimits.payloadDepth) {
    return { field: 'payload', message: `must not nest deeper than ${eventLimits.payloadDepth} levels` };
  }
  // Stringifying escapes exactly the unpaired surrogates and control characters, however they were written before.
  if (payload.includes('\\u') && unstorableEscape.test(JSON.stringify(parsed))) {
    return { field: 'payload', message: 'must not contain NUL characters or unpaired surrogates' };
  }
  return undefined;
}

function problemOfExperiments(event: EventRecord): EventProblem | undefined {
  const refs = event.experiments;
  if (refs.length > eventLimits.experiments)
    return { field: 'experiments', message: `must have at most ${eventLimits.experiments} entries` };
  for (let index = 0; index < refs.length; index += 1) {
    const ref = refs[index]!;
    if (!uuid.test(ref.experiment_id))
      return { field: `experiments[${index}].experiment_id`, message: 'must be a lower-case UUID' };
    if (!uuid.test(ref.variant_id))
      return { field: `experiments[${index}].variant_id`, message: 'must be a lower-case UUID' };
    for (let earlier = 0; earlier < index; earlier += 1) {
      if (refs[earlier]!.experiment_id === ref.experiment_id) {
        return { field: `experiments[${index}].experiment_id`, message: 'must not repeat an experiment' };
      }
    }
  }
  return undefined;
}

function problemOfContext(context: EventRecord['context']): EventProblem | undefined {
  let keys = 0;
  for (const name in context) {
    keys += 1;
    if (!fieldName.test(name) || name === '__proto__') {
      return {
        field: `context.${name}`,
        message: 'must be named with letters, digits and _ . : / - and start with a letter or _',
      };
    }
    const value = context[name];
    if (typeof value === 'string') {
      if (value.length > eventLimits.contextTextLength || !isStorableText(value)) {
        return {
          field: `context.${name}`,
          message: `must be text without NUL of at most ${eventLimits.contextTextLength} characters`,
        };
      }
    } else if (typeof value === 'number' && !Number.isFinite(value)) {
      return { field: `context.${name}`, message: 'must be a finite number' };
    }
  }
  return keys > eventLimits.contextKeys
    ? { field: 'context', message: `must have at most ${eventLimits.contextKeys} keys` }
    : undefined;
}

function problemOfMetrics(metrics: EventRecord['metrics']): EventProblem | undefined {
  let count = 0;
  for (const name in metrics) {
    count += 1;
    if (!fieldName.test(name) || name === '__proto__') {
      return {
        field: `metrics.${name}`,
        message: 'must be named with letters, digits and _ . : / - and start with a letter or _',
      };
    }
    if (!Number.isFinite(metrics[name])) return { field: `metrics.${name}`, message: 'must be a finite number' };
  }
  return count > eventLimits.metrics
    ? { field: 'metrics', message: `must have at most ${eventLimits.metrics} entries` }
    : undefined;
}

/**
 * The first rule that a well-typed event breaks, or undefined. The value must already have the shape of an EventRecord
 * (Avro decoding or the HTTP schema sees to that). With `experimentsKnown` its list of experiments was checked before.
 */
export function findEventProblem(
  event: EventRecord,
  bounds: EventTimeBounds,
  { experimentsKnown = false }: { experimentsKnown?: boolean } = {},
): EventProblem | undefined {
  if (!uuid.test(event.event_id)) return { field: 'event_id', message: 'must be a lower-case UUID' };
  if (!typeName.test(event.event_type))
    return { field: 'event_type', message: 'must be 1 to 64 letters, digits and _ . - starting with a letter' };
  if (!typeName.test(event.unit_type))
    return { field: 'unit_type', message: 'must be 1 to 64 letters, digits and _ . - starting with a letter' };
  if (event.unit_id === '' || event.unit_id.length > eventLimits.unitIdLength || !isStorableText(event.unit_id)) {
    return { field: 'unit_id', message: `must be text without NUL of 1 to ${eventLimits.unitIdLength} characters` };
  }
  if (event.producer === '' || event.producer.length > eventLimits.producerLength || !isStorableText(event.producer)) {
    return { field: 'producer', message: `must be text without NUL of 1 to ${eventLimits.producerLength} characters` };
  }
  if (
    !Number.isInteger(event.event_time) ||
    event.event_time < bounds.earliestMs ||
    event.event_time > bounds.latestMs
  ) {
    const [earliest, latest] = [bounds.earliestMs, bounds.latestMs].map((ms) => new Date(ms).toISOString());
    return { field: 'event_time', message: `must be between ${earliest} and ${latest}` };
  }
  if (!Number.isInteger(event.ingest_time) || Math.abs(event.ingest_time) > 8.64e15) {
    return { field: 'ingest_time', message: 'must be milliseconds since 1970' };
  }
  if (event.experiments.length === 0 && eventTypes[event.event_type]?.experimentsRequired === true) {
    return { field: 'experiments', message: `must not be empty for event type ${event.event_type}` };
  }
  return (
    (experimentsKnown ? undefined : problemOfExperiments(event)) ??
    problemOfContext(event.context) ??
    problemOfMetrics(event.metrics) ??
    (event.payload === null ? undefined : problemOfPayload(event.payload))
  );
}

const dayMs = 86_400_000;
const dateByDay = new Map<number, string>();

/** The UTC calendar day of an event time, `YYYY-MM-DD`: with event_id the identity of an event. */
export function eventDateOf(eventTimeMs: number): string {
  const day = Math.floor(eventTimeMs / dayMs);
  let date = dateByDay.get(day);
  if (date === undefined) {
    if (dateByDay.size > 10_000) dateByDay.clear();
    date = new Date(day * dayMs).toISOString().slice(0, 10);
    dateByDay.set(day, date);
  }
  return date;
}

/** Key of an event record: one unit's events share a Kafka partition. */
export function eventKeyOf(event: Pick<EventRecord, 'unit_type' | 'unit_id'>): string {
  return `${event.unit_type}:${event.unit_id}`;
}
