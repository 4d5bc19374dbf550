// Random events for the property tests: few units, days and ids, so that repeats, late exposures and shared keys are common.
import fc from 'fast-check';
import type { DecodedRecord } from '#platform/kafka/record.ts';
import type { Batch } from '#platform/kafka/sink.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

export const explicitExperiment = '11111111-1111-5111-8111-111111111111';
export const implicitExperiment = '22222222-2222-5222-8222-222222222222';
export const variants = ['aaaaaaaa-aaaa-5aaa-8aaa-aaaaaaaaaaaa', 'bbbbbbbb-bbbb-5bbb-8bbb-bbbbbbbbbbbb'] as const;
export const midnightMs = Date.UTC(2026, 2, 2);

/** Within two days around a midnight UTC, often exactly at or one ms beside it. */
const eventTime = fc.oneof(
  fc.integer({ min: midnightMs - 86_400_000, max: midnightMs + 86_399_999 }),
  fc.constantFrom(midnightMs - 1, midnightMs, midnightMs + 1, midnightMs + 3_600_000),
);
const metricValue = fc.oneof(
  fc.constantFrom(0, 1, -1, 5e-324, 1e-200, 1e100),
  fc.double({ min: -1e3, max: 1e3, noNaN: true }),
);
const experiments = fc
  .record({
    explicit: fc.option(fc.constantFrom(...variants), { nil: undefined }),
    implicit: fc.option(fc.constantFrom(...variants), { nil: undefined }),
  })
  .map(({ explicit, implicit }) => [
    ...(explicit === undefined ? [] : [{ experiment_id: explicitExperiment, variant_id: explicit }]),
    ...(implicit === undefined ? [] : [{ experiment_id: implicitExperiment, variant_id: implicit }]),
  ]);

/** Content by identity: the same id on the same day is the same event again, as a retry sends it. */
export const eventLists: fc.Arbitrary<EventRecord[]> = fc
  .array(
    fc.record({
      event_type: fc.constantFrom('exposure', 'purchase', 'purchase'),
      unit_type: fc.constantFrom('user', 'user', 'session'),
      unit_id: fc.constantFrom('u1', 'u2', 'ü3', 'u"4,\\'),
      experiments,
      metrics: fc.dictionary(fc.constantFrom('revenue', 'clicks'), metricValue, { maxKeys: 2 }),
      event_time: eventTime,
      repeats: fc.constantFrom(1, 1, 1, 2, 3),
      sharesIdWithNextDay: fc.boolean(),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((drafts) =>
    drafts.flatMap(({ repeats, sharesIdWithNextDay, ...draft }, index) => {
      const event: EventRecord = {
        ...draft,
        event_id: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
        context: {},
        payload: null,
        ingest_time: draft.event_time,
        producer: 'test',
      };
      const copies = Array.from({ length: repeats }, () => event);
      // One id on two days is two events.
      return sharesIdWithNextDay ? [...copies, { ...event, event_time: event.event_time + 86_400_000 }] : copies;
    }),
  );

/** The events in a random order, cut into batches at random places. */
export const shuffledBatches: fc.Arbitrary<{ events: EventRecord[]; batches: EventRecord[][] }> = eventLists.chain(
  (events) =>
    fc
      .tuple(
        fc.shuffledSubarray(events, { minLength: events.length }),
        fc.array(fc.integer({ min: 1, max: 15 }), { minLength: events.length, maxLength: events.length }),
      )
      .map(([shuffled, sizes]) => {
        const batches: EventRecord[][] = [];
        for (let at = 0, next = 0; at < shuffled.length; at += sizes[next]!, next += 1) {
          batches.push(shuffled.slice(at, at + sizes[next]!));
        }
        return { events, batches };
      }),
);

export function toBatch(events: readonly EventRecord[], partition = 0): Batch<EventRecord> {
  const records: DecodedRecord<EventRecord>[] = events.map((value, index) => ({
    value,
    record: {
      topic: 'events',
      partition,
      offset: BigInt(index),
      key: null,
      value: null,
      headers: {},
      timestampMs: value.ingest_time,
    },
  }));
  return { topic: 'events', partition, firstOffset: 0n, nextOffset: BigInt(events.length), records, rejected: [] };
}
