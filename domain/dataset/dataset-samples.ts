// Plan events for tests of datasets; change what a test is about.

import type { PlanFeedbackPayload, PlanGeneratedPayload } from '#domain/planning/plan-shape.ts';
import { planOf, requestWith } from '#domain/planning/planning-samples.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

const samplePlan = planOf(['rice-bowl'], ['beef-stew']);

export function sampleGeneratedPayload(
  planId: string,
  change: Partial<PlanGeneratedPayload> = {},
): PlanGeneratedPayload {
  return {
    plan_id: planId,
    request: requestWith([{ kind: 'budget', usd_per_day: 12.5 }], {
      pantry: [{ ingredient: 'spinach', use_by: '2026-01-06' }],
    }),
    plan: samplePlan,
    choices: samplePlan.slots.map(({ slot_id, recipe_id }) => ({
      slot_id,
      recipe_id,
      source: 'policy',
      propensities: [0.25, 0.25, 0.5],
      action_propensity: recipe_id === 'rice-bowl' ? 0.5 : 0.25,
    })),
    policy: { name: 'rule-based', temperature: 0.5 },
    ...change,
  };
}

export function sampleFeedbackPayload(planId: string, change: Partial<PlanFeedbackPayload> = {}): PlanFeedbackPayload {
  return { plan_id: planId, final_plan: samplePlan, edited_slots: [], ...change };
}

/** A plan event of the sample household; `payload` is written as JSON text. */
export function samplePlanEvent(
  event_type: 'plan_generated' | 'plan_accepted' | 'plan_edited',
  payload: object | null,
  change: Partial<EventRecord> & Pick<EventRecord, 'event_id'>,
): EventRecord {
  return {
    event_type,
    unit_type: 'household',
    unit_id: '11111111-1111-4111-8111-111111111111',
    experiments: [],
    context: {},
    metrics: {},
    payload: payload === null ? null : JSON.stringify(payload),
    event_time: Date.UTC(2026, 0, 4, 10),
    ingest_time: Date.UTC(2026, 0, 4, 10, 0, 1),
    producer: 'test',
    ...change,
  };
}
