// From the events of one request to one result each: checked, identified, encoded, and acknowledged by Kafka.
import type { Definitions } from '#api/ingestion-service/definitions.ts';
import { checkEventBody, type EventBody } from '#api/ingestion-service/event-body.ts';
import { type IdempotencyKey, identifyEvent } from '#api/ingestion-service/event-identity.ts';
import { findPollutingKey } from '#api/ingestion-service/polluting-key.ts';
import { MalformedLine, RequestError, type RequestEvents } from '#api/ingestion-service/request-body.ts';
import { isDeeperThan } from '#api/request-limits.ts';
import { eventLimits } from '#domain/event/parse-event.ts';
import { traceHeaderBytes, traceHeaders } from '#platform/kafka/trace-records.ts';
import type { Traceparent, TraceSpan, Tracing } from '#platform/telemetry/tracing.ts';
import type { EncodedEvent, EventProducer } from '#producers/event-producer/event-producer.ts';
import { type Delivery, ProducerOverloadedError } from '#producers/event-producer/send-queue.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { topics } from '#schemas/topics.ts';

export type EventResult =
  | { readonly index: number; readonly event_id: string; readonly status: 'accepted' }
  | {
      readonly index: number;
      readonly event_id: string;
      readonly status: 'unknown';
      readonly code: string;
      readonly message: string;
    }
  | {
      readonly index: number;
      readonly event_id?: string;
      readonly status: 'rejected';
      readonly code: string;
      readonly message: string;
      readonly field?: string;
    };

export type AcceptEventsDeps = {
  definitions: Definitions;
  producer: Pick<EventProducer, 'encode' | 'sendEach'>;
  tracing: Tracing;
  now: () => number;
};

export type AcceptEvents = (
  request: RequestEvents,
  caller: string,
  key: IdempotencyKey | null,
  traceparent?: Traceparent,
) => Promise<EventResult[]>;

type Problem = { readonly code: string; readonly message: string; readonly field?: string };
/** The event itself is one level above its payload. */
const maxEventDepth = eventLimits.payloadDepth + 1;
type Candidate = { readonly index: number; readonly event: EventRecord };

/** The names of the record that HTTP knows by another name. */
const fieldNames: Readonly<Record<string, string>> = { event_time: 'timestamp' };

function toRecord(
  body: EventBody,
  identity: { eventId: string; eventTimeMs: number },
  caller: string,
  nowMs: number,
): EventRecord {
  return {
    event_id: identity.eventId,
    event_type: body.event_type,
    unit_type: body.unit_type,
    unit_id: body.unit_id,
    experiments: body.experiments ?? [],
    context: body.context ?? {},
    metrics: body.metrics ?? {},
    payload: body.payload === undefined || body.payload === null ? null : JSON.stringify(body.payload),
    event_time: identity.eventTimeMs,
    ingest_time: nowMs,
    producer: caller,
  };
}

/**
 * Resolves with one result per event, in order. `accepted` means that all in-sync replicas have it. @throws RequestError with 503
 * when nothing of the request was taken because the producer's queue is full, or ids cannot be checked at the moment.
 */
export function createAcceptEvents(deps: AcceptEventsDeps): AcceptEvents {
  const { definitions, producer } = deps;

  const check = (
    value: unknown,
    index: number,
    caller: string,
    key: IdempotencyKey | null,
    nowMs: number,
  ): EventRecord | Problem => {
    if (value instanceof MalformedLine) return { code: 'malformed-json', message: value.message };
    // First, because what comes after may read recursively.
    if (isDeeperThan(value, maxEventDepth)) {
      return { code: 'invalid', message: `must not nest deeper than ${maxEventDepth} levels` };
    }
    const polluting = findPollutingKey(value);
    if (polluting !== null) return { code: 'forbidden-key', field: polluting, message: 'is not an accepted name' };
    const checked = checkEventBody(value);
    if (!checked.ok) return checked.problem;
    const identity = identifyEvent({
      event: {
        ...(checked.body.event_id === undefined ? {} : { event_id: checked.body.event_id }),
        ...(checked.body.timestamp === undefined ? {} : { timestamp: checked.body.timestamp }),
      },
      index,
      caller,
      key,
      nowMs,
    });
    if ('code' in identity) return identity;
    return toRecord(checked.body, identity, caller, nowMs);
  };

  const findUnknownRef = ({ experiments }: EventRecord): Problem | undefined => {
    for (const [index, ref] of experiments.entries()) {
      const found = definitions.check(ref);
      if (found === 'unknown-experiment') {
        return { code: found, field: `experiments[${index}].experiment_id`, message: 'is not an experiment' };
      }
      if (found === 'unknown-variant') {
        return {
          code: found,
          field: `experiments[${index}].variant_id`,
          message: 'is not a variant of the experiment',
        };
      }
    }
    return undefined;
  };

  /** An id that is not in memory may have been defined a moment ago: the definitions are read again before it is refused. */
  const refreshForUnknown = async (candidates: readonly Candidate[]): Promise<void> => {
    if (!candidates.some(({ event }) => findUnknownRef(event) !== undefined)) return;
    if (await definitions.refreshSince()) return;
    if (!candidates.some(({ event }) => findUnknownRef(event) !== undefined)) return;
    throw new RequestError(
      503,
      'definitions-stale',
      'an experiment is not known, and definitions cannot be read now; repeat the request later',
    );
  };

  /** Written with the context of this span, so that whoever reads the records continues its trace. */
  const sendTraced = async (
    records: readonly EncodedEvent[],
    span: TraceSpan | undefined,
  ): Promise<readonly Delivery[]> => {
    if (span === undefined) return producer.sendEach(records);
    const headers = traceHeaders(span.traceparent);
    try {
      const traced = records.map((record) => ({ ...record, headers, bytes: record.bytes + traceHeaderBytes }));
      const deliveries = await producer.sendEach(traced);
      const lost = deliveries.filter(({ status }) => status !== 'acknowledged').length;
      span.end(lost === 0 ? {} : { error: `${lost} of ${records.length} records were not acknowledged` });
      return deliveries;
    } catch (error) {
      span.end({ error: (error as Error).message });
      throw error;
    }
  };

  return async (request, caller, key, traceparent) => {
    const nowMs = deps.now();
    const results = new Array<EventResult>(request.events.length);
    const prefix = (index: number): string => (request.form === 'batch' ? `events[${index}]` : '');
    const reject = (index: number, { code, message, field }: Problem, eventId?: string): void => {
      const base = prefix(index);
      const path = field === undefined ? base : base === '' ? field : `${base}.${field}`;
      results[index] = {
        index,
        ...(eventId === undefined ? {} : { event_id: eventId }),
        status: 'rejected',
        code,
        message: path === '' ? message : `${path} ${message}`,
        ...(path === '' ? {} : { field: path }),
      };
    };
    const candidates: Candidate[] = [];
    for (const [index, value] of request.events.entries()) {
      const checked = check(value, index, caller, key, nowMs);
      if ('code' in checked) reject(index, checked);
      else candidates.push({ index, event: checked });
    }
    await refreshForUnknown(candidates);
    const sent: { index: number; eventId: string; record: EncodedEvent }[] = [];
    for (const { index, event } of candidates) {
      const unknown = findUnknownRef(event);
      if (unknown !== undefined) {
        reject(index, unknown, event.event_id);
        continue;
      }
      const encoded = producer.encode(event);
      if (encoded.ok) sent.push({ index, eventId: event.event_id, record: encoded.record });
      else {
        const { field, message } = encoded.problem;
        reject(index, { code: 'invalid', field: fieldNames[field] ?? field, message }, event.event_id);
      }
    }
    if (sent.length === 0) return results;
    try {
      const span = deps.tracing.start(`send ${topics.events.name}`, {
        kind: 'producer',
        traceparent,
        attributes: { 'messaging.system': 'kafka', 'messaging.batch.message_count': sent.length },
      });
      const records = sent.map(({ record }) => record);
      const deliveries = await sendTraced(records, span);
      for (const [position, { index, eventId }] of sent.entries()) {
        results[index] =
          deliveries[position]?.status === 'acknowledged'
            ? { index, event_id: eventId, status: 'accepted' }
            : {
                index,
                event_id: eventId,
                status: 'unknown',
                code: 'not-acknowledged',
                message: 'Kafka has not acknowledged it in time',
              };
      }
      return results;
    } catch (error) {
      if (error instanceof ProducerOverloadedError) {
        throw new RequestError(503, 'overloaded', 'the service is at its limit; repeat the request later');
      }
      throw error;
    }
  };
}
