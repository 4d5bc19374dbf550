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
  const sharedExperiments = createSharedExperiments(share);
  return function parseEvent(
    value: unknown,
    record: { readonly timestampMs: number },
  ): { ok: true; value: EventRecord } | { ok: false; rejection: EventRejection } {
    const event = value as EventRecord;
    const bounds: EventTimeBounds = { earliestMs: limits.earliestMs, latestMs: record.timestampMs + limits.maxAheadMs };
    const experiments = sharedExperiments.find(event.experiments);
    if (experiments !== undefined) event.experiments = experiments;
    const problem = findEventProblem(event, bounds, { experimentsKnown: experiments !== undefined });
    if (problem === undefined) {
      if (experiments === undefined) event.experiments = sharedExperiments.keep(event.experiments);
      event.event_type = share(event.event_type);
      event.unit_type = share(event.unit_type);
      event.producer = share(event.producer);
      return { ok: true, value: event };
    }
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

/**
 * Gives the same string object for equal texts, as long as there are not too many different ones. Most events have these texts in
 * common: held by the ten thousand, a decoded event is then a third smaller.
 */
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

type Experiments = EventRecord['experiments'];

/** Lists of one experiment, which most events have: events of one variant share the list, and it is checked once. */
function createSharedExperiments(share: (text: string) => string) {
  const lists = new Map<string, Map<string, Experiments>>();
  let count = 0;
  return {
    /** The list that was kept for the same experiment and variant. */
    find: (experiments: Experiments): Experiments | undefined => {
      const ref = experiments[0];
      if (ref === undefined || experiments.length > 1) return undefined;
      return lists.get(ref.experiment_id)?.get(ref.variant_id);
    },
    /** Only for lists that keep the rules. Gives the list that the event is to hold. */
    keep: (experiments: Experiments): Experiments => {
      for (const ref of experiments) {
        ref.experiment_id = share(ref.experiment_id);
        ref.variant_id = share(ref.variant_id);
      }
      const ref = experiments[0];
      if (ref === undefined || experiments.length > 1) return experiments;
      if (count >= maxSharedTexts) {
        lists.clear();
        count = 0;
      }
      let ofExperiment = lists.get(ref.experiment_id);
      if (ofExperiment === undefined) {
        ofExperiment = new Map();
        lists.set(ref.experiment_id, ofExperiment);
      }
      // Whoever changed it would change other events.
      Object.freeze(ref);
      Object.freeze(experiments);
      ofExperiment.set(ref.variant_id, experiments);
      count += 1;
      return experiments;
    },
  };
}
