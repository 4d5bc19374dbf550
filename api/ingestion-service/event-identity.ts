// Who an event is: its id and time, from the event, from the Idempotency-Key, or made here.
import { v5 as uuidV5, v7 as uuidV7 } from 'uuid';
import { parseTimestamp } from '#api/ingestion-service/timestamp.ts';

/** Committed for ever: ids derived from idempotency keys are UUIDv5 in this namespace. */
const idempotencyNamespace = '7d3a4c1e-9b52-5f0e-8a66-2f1c5d0b9e47';

const keyPattern = /^[\x21-\x7e]{1,255}$/;
const version7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

export type IdempotencyKey = {
  readonly text: string;
  /** The time inside a UUIDv7: the event time of events without a timestamp, the same at every repetition. */
  readonly timeMs: number | null;
};

/** The header's value, or null when it is not 1 to 255 visible ASCII characters. */
export function parseIdempotencyKey(text: string): IdempotencyKey | null {
  if (!keyPattern.test(text)) return null;
  const match = version7.exec(text);
  return {
    text: match === null ? text : text.toLowerCase(),
    timeMs: match === null ? null : Number.parseInt(`${match[1]}${match[2]}`, 16),
  };
}

/** Id of the event at `index` of a request with an idempotency key: the same for every instance and every repetition. */
export function deriveEventId(options: { caller: string; key: IdempotencyKey; index: number }): string {
  return uuidV5(JSON.stringify([options.caller, options.key.text, options.index]), idempotencyNamespace);
}

export type EventIdentity = { readonly eventId: string; readonly eventTimeMs: number };
export type IdentityProblem = {
  readonly code: 'timestamp-required' | 'invalid';
  readonly field: string;
  readonly message: string;
};

/**
 * With an event_id or an idempotency key the time must be fixed by the client too, because identity is (event_id, UTC day): a
 * time made here would differ when a request is repeated after midnight.
 */
export function identifyEvent(options: {
  event: { readonly event_id?: string; readonly timestamp?: string };
  index: number;
  caller: string;
  key: IdempotencyKey | null;
  nowMs: number;
}): EventIdentity | IdentityProblem {
  const { event, key, nowMs } = options;
  let eventTimeMs: number | null = null;
  if (event.timestamp !== undefined) {
    eventTimeMs = parseTimestamp(event.timestamp);
    if (eventTimeMs === null) {
      const message = 'must be an ISO 8601 time with a zone, such as 2026-02-03T04:05:06.789Z';
      return { code: 'invalid', field: 'timestamp', message };
    }
  }
  if (event.event_id !== undefined) {
    if (eventTimeMs !== null) return { eventId: event.event_id, eventTimeMs };
    return { code: 'timestamp-required', field: 'timestamp', message: 'is required with an event_id' };
  }
  if (key !== null) {
    eventTimeMs ??= key.timeMs;
    if (eventTimeMs !== null) {
      return { eventId: deriveEventId({ caller: options.caller, key, index: options.index }), eventTimeMs };
    }
    const message = 'is required with an Idempotency-Key that is not a UUIDv7';
    return { code: 'timestamp-required', field: 'timestamp', message };
  }
  return { eventId: uuidV7(), eventTimeMs: eventTimeMs ?? nowMs };
}
