// Applies the event rules to a decoded value, for consumers: they trust neither the door nor other producers.
import { type EventTimeBounds, findEventProblem } from '#domain/event/parse-event.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

export type EventRejection = {
  stage: 'validate';
  reason: 'rule-violated';
  error: string;
  eventId: string;
  experimentIds: string[];
};

/**
 * A parser of decoded values for consumers of the events topic: the event when it keeps all rules, else the rejection for the
 * dead-letter topic. Latest accepted event time: the broker's append time plus `maxAheadMs`, so that reading the same record
 * again years later gives the same answer.
 */
export function createEventParser(limits: { earliestMs: number; maxAheadMs: number }) {
  const share = createSharedTexts();
  return function parseEvent(
    value: unknown,
    record: { readonly timestampMs: number },
  ): { ok: true; value: EventRecord } | { ok: false; rejection: EventRejection } {
    const event = value as EventRecord;
    const bounds: EventTimeBounds = { earliestMs: limits.earliestMs, latestMs: record.timestampMs + limits.maxAheadMs };
    const problem = findEventProblem(event, bounds);
    if (problem === undefined) return { ok: true, value: withSharedTexts(event, share) };
    return {
      ok: false,
      rejection: {
        stage: 'validate',
        reason: 'rule-violated',
        error: `${problem.field} ${problem.message}`,
        eventId: event.event_id,
        experimentIds: event.experiments.map((ref) => ref.experiment_id),
      },
    };
  };
}

const maxSharedTexts = 10_000;

/** Gives the same string object for equal texts, as long as there are not too many different ones. */
function createSharedTexts(): (text: string) => string {
  const texts = new Map<string, string>();
  return (text) => {
    const known = texts.get(text);
    if (known !== undefined) return known;
    if (texts.size >= maxSharedTexts) texts.clear();
    texts.set(text, text);
    return text;
  };
}

/** Replaces the texts that most events have in common: held by the ten thousand, a decoded event is then a third smaller. */
function withSharedTexts(event: EventRecord, share: (text: string) => string): EventRecord {
  event.event_type = share(event.event_type);
  event.unit_type = share(event.unit_type);
  event.producer = share(event.producer);
  for (const ref of event.experiments) {
    ref.experiment_id = share(ref.experiment_id);
    ref.variant_id = share(ref.variant_id);
  }
  return event;
}
