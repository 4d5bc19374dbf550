// Tests of plan events for datasets: what is read, what is refused and where, and that pairing does not depend on order.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sampleFeedbackPayload, sampleGeneratedPayload, samplePlanEvent } from './dataset-samples.ts';
import { mergePairedPlans, pairPlanEvents } from './pair-plan-events.ts';
import { type PlanEvent, parsePlanEvent } from './parse-plan-event.ts';

const seed = 20260106;
const idOf = (index: number) => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
const planId = idOf(1);
const generatedEvent = (payload: object | null) => samplePlanEvent('plan_generated', payload, { event_id: idOf(2) });

describe('parsePlanEvent', () => {
  test('reads the request exactly as it was carried', () => {
    const payload = sampleGeneratedPayload(planId);
    const parsed = parsePlanEvent(generatedEvent(payload));
    expect(parsed).toMatchObject({ ok: true, event: { kind: 'generated', planId, eventId: idOf(2), payload } });
  });

  test('has nothing to say about other event types, whatever their payload', () => {
    const event = { ...generatedEvent(null), event_type: 'exposure', payload: '[1]' };
    expect(parsePlanEvent(event)).toEqual({ ok: true, event: null });
  });

  test.each<[string, object | null]>([
    ['payload', null],
    ['payload', [1]],
    ['payload.plan_id', sampleGeneratedPayload('not-a-uuid')],
    ['payload.choices', { ...sampleGeneratedPayload(planId), choices: undefined }],
    ['payload.extra', { ...sampleGeneratedPayload(planId), extra: 1 }],
    [
      'payload.plan.slots[1].servings',
      (() => {
        const payload = structuredClone(sampleGeneratedPayload(planId));
        payload.plan.slots[1]!.servings = 0.5;
        return payload;
      })(),
    ],
    [
      'payload.request.requested_at',
      (() => {
        const { request, ...rest } = sampleGeneratedPayload(planId);
        return { ...rest, request: { ...request, requested_at: '2026-13-45T00:00:00Z' } };
      })(),
    ],
  ])('refuses a plan_generated at %s', (path, payload) => {
    expect(parsePlanEvent(generatedEvent(payload))).toMatchObject({ ok: false, path });
  });

  test('refuses a plan_accepted with edited slots', () => {
    const payload = sampleFeedbackPayload(planId, { edited_slots: ['2026-01-05/dinner'] });
    const as = (type: 'plan_accepted' | 'plan_edited') =>
      parsePlanEvent(samplePlanEvent(type, payload, { event_id: idOf(3) }));
    expect(as('plan_accepted')).toMatchObject({ ok: false, path: 'payload.edited_slots' });
    expect(as('plan_edited')).toMatchObject({ ok: true, event: { reaction: 'edited' } });
  });
});

const arbitraryPlanEvents = fc.uniqueArray(
  fc
    .record({
      kind: fc.constantFrom('generated' as const, 'reaction' as const),
      planId: fc.constantFrom(idOf(1), idOf(2), idOf(3)),
      eventId: fc.integer({ min: 0, max: 9 }).map(idOf),
      eventTimeMs: fc.integer({ min: 0, max: 3 }),
    })
    .map(({ kind, planId: id, ...identity }): PlanEvent => {
      if (kind === 'generated') {
        return { kind, planId: id, ...identity, experiments: [], payload: sampleGeneratedPayload(id) };
      }
      return { kind, planId: id, ...identity, reaction: 'accepted', payload: sampleFeedbackPayload(id) };
    }),
  {
    selector: ({ kind, planId: id, eventId, eventTimeMs }) => `${kind}/${id}/${eventId}/${eventTimeMs}`,
    maxLength: 30,
  },
);

describe('pairPlanEvents', () => {
  test('takes the earliest plan and the latest reaction, in any order, with repeats, in any split', () => {
    fc.assert(
      fc.property(arbitraryPlanEvents, fc.array(fc.nat()), fc.nat({ max: 30 }), (events, picks, at) => {
        const expected = pairPlanEvents(events);
        const repeated = picks.flatMap((pick) => events[pick % Math.max(1, events.length)] ?? []);
        expect(pairPlanEvents([...repeated, ...events.toReversed()])).toEqual(expected);
        const [one, other] = [pairPlanEvents(events.slice(0, at)), pairPlanEvents(events.slice(at))];
        for (const plan of expected) {
          const parts = [...other, ...one].filter(({ planId: id }) => id === plan.planId);
          expect(parts.reduce(mergePairedPlans)).toEqual(plan);
          const rank = ({ eventTimeMs, eventId }: PlanEvent) => `${eventTimeMs}/${eventId}`;
          const ranks = (kind: PlanEvent['kind']) =>
            events
              .filter((event) => event.kind === kind && event.planId === plan.planId)
              .map(rank)
              .sort();
          expect(plan.generated && rank(plan.generated)).toBe(ranks('generated')[0] ?? null);
          expect(plan.reaction && rank(plan.reaction)).toBe(ranks('reaction').at(-1) ?? null);
        }
      }),
      { seed },
    );
  });
});
