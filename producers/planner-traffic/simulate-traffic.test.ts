// Tests of the simulated traffic: deterministic, in order of time, of the documented shape, and with exactly the effects asked for.

import { Value } from '@sinclair/typebox/value';
import { describe, expect, test } from 'vitest';
import { findEventProblem } from '#domain/event/parse-event.ts';
import { serializePlanRequest, toCanonicalJson } from '#domain/planning/canonical-json.ts';
import { checkPlan } from '#domain/planning/constraint-check.ts';
import { editDistanceScore } from '#domain/planning/plan-scores.ts';
import {
  type PlanFeedbackPayload,
  PlanFeedbackPayloadShape,
  type PlanGeneratedPayload,
  PlanGeneratedPayloadShape,
} from '#domain/planning/plan-shape.ts';
import type { PlanRequest } from '#domain/planning/request-shape.ts';
import { fromConstraintRow, fromHouseholdRow, fromPantryItemRow, isValidAt } from '#domain/planning/temporal-rows.ts';
import type { EventBody } from '../workload-client/workload-port.ts';
import { acceptanceProbability } from './reaction.ts';
import { committedCatalogue, runTraffic, sampleWorld, variantOf } from './traffic-samples.ts';

const world = sampleWorld();
const events = runTraffic({ world });
const ofType = (type: string, from: readonly EventBody[] = events) => from.filter((event) => event.event_type === type);
const generatedOf = (event: EventBody) => event.payload as PlanGeneratedPayload;
const feedbackOf = (event: EventBody) => event.payload as PlanFeedbackPayload;
const reactions = [...ofType('plan_accepted'), ...ofType('plan_edited')];

describe('the events', () => {
  test('are the same for the same seed and others for another seed', () => {
    expect(runTraffic({ world: sampleWorld() })).toEqual(events);
    const others = new Set(runTraffic({ world: sampleWorld({ seed: 2 }) }).map((event) => event.event_id));
    expect(events.filter((event) => others.has(event.event_id))).toEqual([]);
  });

  test('of a household do not depend on how many others there are', () => {
    const alone = runTraffic({ world: sampleWorld({ households: 1 }) });
    expect(alone.length).toBeGreaterThan(0);
    expect(events.filter((event) => event.unit_id === alone[0]?.unit_id)).toEqual(alone);
  });

  test('of a longer run hold those of a shorter one, and its rows hold the rows', () => {
    const shorter = sampleWorld({ days: 14 });
    const ids = new Set(events.map((event) => toCanonicalJson(event)));
    expect(runTraffic({ world: shorter }).filter((event) => !ids.has(toCanonicalJson(event)))).toEqual([]);
    for (const table of ['households', 'pantryItems', 'constraints', 'recipes'] as const) {
      const rows = new Set(world.rows[table].map(toCanonicalJson));
      expect(shorter.rows[table].filter((row) => !rows.has(toCanonicalJson(row)))).toEqual([]);
    }
  });

  test('come in order of time, each with an id of its own, and keep the rules of events', () => {
    const times = events.map((event) => event.timestamp);
    expect(times).toEqual(times.toSorted());
    expect(new Set(events.map((event) => event.event_id)).size).toBe(events.length);
    const bounds = { earliestMs: Date.UTC(2015, 0, 1), latestMs: Date.UTC(2030, 0, 1) };
    const problems = events.flatMap((event) => {
      const payload = event.payload === undefined ? null : JSON.stringify(event.payload);
      const [event_time, ingest_time, producer] = [Date.parse(event.timestamp), 0, 'planner-traffic'];
      const experiments = [...event.experiments];
      return findEventProblem({ ...event, experiments, payload, event_time, ingest_time, producer }, bounds) ?? [];
    });
    expect(problems).toEqual([]);
  });

  test('have payloads of the documented shapes', () => {
    for (const event of ofType('plan_generated')) {
      expect([...Value.Errors(PlanGeneratedPayloadShape, event.payload)]).toEqual([]);
    }
    for (const event of reactions) expect([...Value.Errors(PlanFeedbackPayloadShape, event.payload)]).toEqual([]);
  });

  test('of one plan are exposure, plan, then at most one reaction', () => {
    const exposures = ofType('exposure');
    const plans = ofType('plan_generated');
    expect(exposures.length).toBe(plans.length);
    const planTimes = new Map(plans.map((event) => [generatedOf(event).plan_id, event.timestamp]));
    expect(planTimes.size).toBe(plans.length);
    const reacted = reactions.map((event) => feedbackOf(event).plan_id);
    expect(new Set(reacted).size).toBe(reacted.length);
    for (const event of reactions) {
      expect(event.timestamp > (planTimes.get(feedbackOf(event).plan_id) ?? 'z')).toBe(true);
    }
    for (const unit of new Set(events.map((event) => event.unit_id))) {
      expect(events.find((event) => event.unit_id === unit)?.event_type).toBe('exposure');
    }
  });

  test('of an edit say which slots changed, by how much, and only offer what is allowed', () => {
    const plans = new Map(ofType('plan_generated').map((event) => [generatedOf(event).plan_id, generatedOf(event)]));
    for (const event of reactions) {
      const { plan_id, final_plan, edited_slots } = feedbackOf(event);
      const { plan, request } = plans.get(plan_id)!;
      expect(event.metrics.edit_distance_score).toBe(editDistanceScore(plan, final_plan));
      expect(event.metrics.edits).toBe(edited_slots.length);
      expect(event.metrics.accepted).toBe(edited_slots.length === 0 ? 1 : 0);
      expect(event.event_type).toBe(edited_slots.length === 0 ? 'plan_accepted' : 'plan_edited');
      const changed = final_plan.slots.filter((slot, i) => toCanonicalJson(slot) !== toCanonicalJson(plan.slots[i]));
      expect(changed.map((slot) => slot.slot_id).sort()).toEqual(edited_slots.toSorted());
      const broken = checkPlan(final_plan, request, committedCatalogue).violations.filter(
        ({ severity, kind }) => severity === 'hard' && kind !== 'budget',
      );
      expect(broken).toEqual([]);
    }
  });

  test('carry the whole request: the rows that hold at that time give the same bytes', () => {
    const { rows } = world;
    for (const event of ofType('plan_generated')) {
      const { request } = generatedOf(event);
      const holds = <R extends { household_id: string; valid_from: string; valid_to: string | null }>(
        all: readonly R[],
      ) => all.filter((row) => row.household_id === event.unit_id && isValidAt(row, request.requested_at));
      const joined = {
        household: holds(rows.households).map(fromHouseholdRow),
        pantry: holds(rows.pantryItems).map(fromPantryItemRow),
        constraints: holds(rows.constraints).map(fromConstraintRow),
      };
      const sorted = (values: readonly object[]) => values.map(toCanonicalJson).sort();
      expect(sorted(joined.household)).toEqual([toCanonicalJson(request.household)]);
      expect(sorted(joined.pantry)).toEqual(sorted(request.pantry));
      expect(sorted(joined.constraints)).toEqual(sorted(request.constraints));
      const stored = JSON.parse(JSON.stringify(event.payload)).request as PlanRequest;
      expect(serializePlanRequest(stored)).toBe(serializePlanRequest(request));
    }
  });

  test('know the plan before: what was kept and what was replaced', () => {
    const plans = new Map(
      ofType('plan_generated').map((event) => [generatedOf(event).plan_id, generatedOf(event).plan]),
    );
    const feedback = new Map(reactions.map((event) => [feedbackOf(event).plan_id, feedbackOf(event)]));
    let compared = 0;
    for (const event of ofType('plan_generated')) {
      const previous = generatedOf(event).request.previous_plan;
      const final = feedback.get(previous?.plan_id ?? '')?.final_plan;
      if (!previous || !final) continue;
      const planned = new Map(plans.get(previous.plan_id)!.slots.map((slot) => [slot.slot_id, slot.recipe_id]));
      for (const { slot_id, recipe_id } of final.slots) {
        const replaced_recipe_id = planned.get(slot_id) === recipe_id ? null : planned.get(slot_id);
        expect(previous.slots).toContainEqual({ slot_id, recipe_id, replaced_recipe_id });
        compared += 1;
      }
    }
    expect(compared).toBeGreaterThan(100);
  });
});

describe('the world', () => {
  test('has rows that really change, and never two that hold at once', () => {
    const { households, constraints, pantryItems } = sampleWorld({ households: 200 }).rows;
    expect(households.some((row) => row.valid_to !== null)).toBe(true);
    expect(constraints.some((row) => row.valid_to !== null)).toBe(true);
    for (const rows of [
      Map.groupBy(households, (row) => row.household_id),
      Map.groupBy(pantryItems, (row) => `${row.household_id}/${row.item}`),
      Map.groupBy(
        constraints.filter((row) => row.kind === 'budget'),
        (row) => row.household_id,
      ),
    ]) {
      for (const versions of rows.values()) {
        const inOrder = versions.toSorted((a, b) => (a.valid_from < b.valid_from ? -1 : 1));
        for (const [index, row] of inOrder.entries()) {
          const next = inOrder[index + 1];
          if (row.valid_to !== null) expect(row.valid_from < row.valid_to).toBe(true);
          if (next) expect(row.valid_to !== null && row.valid_to <= next.valid_from).toBe(true);
        }
      }
    }
  });
});

describe('effects', () => {
  const assign = (name: 'control' | 'candidate') => () => [variantOf(name)];
  const effects = { candidate: { acceptance: 0.05, latencyFactor: 2, costFactor: 1.5 } };
  const sum = (name: string, from: readonly EventBody[]) =>
    from.reduce((total, event) => total + (event.metrics[name] ?? 0), 0);

  test('an effect within 0.1 is added to every acceptance probability in full', () => {
    for (const regret of [0, 0.5, 2, 50]) {
      for (const effect of [-0.1, 0.05, 0.1]) {
        expect(acceptanceProbability(regret, effect) - acceptanceProbability(regret, 0)).toBeCloseTo(effect, 12);
      }
    }
  });

  test('show in the acceptance rate within its standard error, and nothing shows without an effect', () => {
    const oneWeek = sampleWorld({ households: 500, days: 7 });
    const answersOf = (from: readonly EventBody[]) => from.filter((event) => event.metrics.accepted !== undefined);
    const control = answersOf(runTraffic({ world: oneWeek, effects, assign: assign('control') }));
    const candidate = answersOf(runTraffic({ world: oneWeek, effects, assign: assign('candidate') }));
    // In the first week both runs meet the same households and, but for days planned again, the same plans: only answers differ.
    expect(candidate.length).toBe(control.length);
    const changed = sum('accepted', candidate) - sum('accepted', control);
    const standardError = Math.sqrt(0.05 * 0.95 * control.length);
    expect(Math.abs(changed - 0.05 * control.length)).toBeLessThan(3 * standardError);
    expect(changed).toBeGreaterThan(0);
  });

  test('of a variant without an entry are none: it does what the control does', () => {
    const withoutIds = (from: readonly EventBody[]) =>
      from.map(({ unit_id, metrics, timestamp }) => [unit_id, metrics, timestamp]);
    const small = sampleWorld({ households: 20, days: 7 });
    const control = runTraffic({ world: small, assign: assign('control') });
    expect(withoutIds(runTraffic({ world: small, assign: assign('candidate') })).sort()).toEqual(
      withoutIds(control).sort(),
    );
  });

  test('multiply latency and cost', () => {
    const small = sampleWorld({ households: 20, days: 7 });
    const control = ofType('plan_generated', runTraffic({ world: small, effects, assign: assign('control') }));
    const candidate = ofType('plan_generated', runTraffic({ world: small, effects, assign: assign('candidate') }));
    expect(sum('cost_usd', candidate) / sum('cost_usd', control)).toBeCloseTo(1.5, 9);
    expect(sum('latency_ms', candidate) / sum('latency_ms', control)).toBeCloseTo(2, 9);
  });

  test('other effects or assignments give other ids, so runs never contradict each other', () => {
    const before = new Map(events.map((event) => [event.event_id, toCanonicalJson(event)]));
    for (const other of [runTraffic({ world, effects }), runTraffic({ world, assign: assign('candidate') })]) {
      const repeated = other.filter((event) => before.has(event.event_id));
      expect(repeated.length).toBeLessThan(other.length);
      expect(repeated.filter((event) => before.get(event.event_id) !== toCanonicalJson(event))).toEqual([]);
    }
  });

  test('a lost share takes whole households out of one variant only', () => {
    const lost = runTraffic({ world, effects: { candidate: { lostShare: 0.5 } } });
    const unitsOf = (from: readonly EventBody[], name: 'control' | 'candidate') =>
      new Set(from.filter((e) => e.experiments[0]?.variant_id === variantOf(name).variant_id).map((e) => e.unit_id));
    expect(unitsOf(lost, 'control')).toEqual(unitsOf(events, 'control'));
    expect(unitsOf(lost, 'candidate').size).toBeLessThan(unitsOf(events, 'candidate').size);
    expect(unitsOf(lost, 'candidate').isSubsetOf(unitsOf(events, 'candidate'))).toBe(true);
  });

  test('households in no experiment are served and send no exposure', () => {
    const outside = runTraffic({ world, assign: () => [] });
    expect(ofType('exposure', outside)).toEqual([]);
    expect(ofType('plan_generated', outside).length).toBe(ofType('plan_generated').length);
    expect(outside.every((event) => event.experiments.length === 0)).toBe(true);
  });
});
