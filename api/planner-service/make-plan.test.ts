// Tests of a plan in any case: the model's, or the rules' with the reason, and what it costs.
import { expect, test } from 'vitest';
import { toModelInput } from '#domain/planning/model-input.ts';
import type { PlanGeneratedPayload } from '#domain/planning/plan-shape.ts';
import type { PlanRequest } from '#domain/planning/request-shape.ts';
import {
  committedCatalogue as catalogue,
  runTraffic,
  sampleWorld,
} from '#producers/planner-traffic/traffic-samples.ts';
import { createInferenceClient, type InferenceAnswer, type InferenceClient } from './inference-client.ts';
import { costOfTokens, makePlan } from './make-plan.ts';
import type { PlannerChoice } from './resolve-planner.ts';
import { agreementOf } from './shadow.ts';

const request: PlanRequest = runTraffic({ world: sampleWorld({ households: 3, days: 7 }) })
  .filter(({ event_type }) => event_type === 'plan_generated')
  .map(({ payload }) => (payload as PlanGeneratedPayload).request)
  .find(({ slots }) => slots.length >= 3)!;
const prices = { inputPriceUsd: 2, outputPriceUsd: 10 };
const choice: PlannerChoice = {
  version: null,
  assignment: null,
  model: 'planner_model/2',
  parameters: { deadline_ms: 250, batch_wait_ms: 7 },
  fallbackReason: null,
};
const slots = toModelInput(request, catalogue).slots;
/** A model that likes the last allowed candidate of each slot most. */
const answer: InferenceAnswer = {
  slots: slots.map(({ slot_id, candidates }) => ({
    slot_id,
    probabilities: candidates.map(() => 1 / candidates.length),
  })),
  plan: slots.flatMap(({ slot_id, candidates }) => {
    const recipe_id = candidates.findLast(({ allowed }) => allowed)?.recipe_id;
    return recipe_id === undefined ? [] : [{ slot_id, recipe_id }];
  }),
  tokens_in: 1_000,
  tokens_out: 100,
};
const answering = (result: Awaited<ReturnType<InferenceClient['plan']>>) => {
  const asked: unknown[] = [];
  const inference: InferenceClient = {
    plan: async (ask) => {
      asked.push(ask);
      return result;
    },
    load: async () => true,
  };
  return { asked, inference };
};
const make = (inference: InferenceClient, change: Partial<PlannerChoice> = {}) =>
  makePlan(
    { ...choice, ...change },
    { planId: '00000000-0000-4000-8000-000000000001', request, catalogue },
    { inference, deadlineMs: 3_000, prices },
  );

test('serves the plan of the model, asked with the parameters of its version, and counts its tokens', async () => {
  const { asked, inference } = answering({ ok: true, answer });
  const made = await make(inference);
  expect(made).toMatchObject({ planner: 'planner_model/2', temperature: null, fallback: null, costUsd: 0.003 });
  expect(asked).toEqual([expect.objectContaining({ model: 'planner_model/2', deadlineMs: 250, batchWaitMs: 7 })]);
  expect(made.choices.every(({ action_propensity }) => action_propensity === null)).toBe(true);
});

test('the rules plan the same each time when there is no answer, and say why', async () => {
  const { inference } = answering({ ok: false, reason: 'timeout', detail: 'no answer within 250 ms' });
  const first = await make(inference);
  expect(first).toMatchObject({
    planner: 'rule-based',
    temperature: 0.25,
    costUsd: 0,
    fallback: { reason: 'timeout', detail: 'no answer within 250 ms' },
  });
  expect(await make(inference)).toEqual(first);
});

test('an answer to another request, or without numbers, is not served, and was paid for', async () => {
  const other = { ...answer, slots: answer.slots.map((slot) => ({ ...slot, slot_id: 'another' })) };
  const wrong = {
    ...answer,
    slots: answer.slots.map((slot) => ({ ...slot, probabilities: slot.probabilities.map(() => Number.NaN) })),
  };
  for (const bad of [other, wrong, { ...answer, slots: [] }]) {
    expect(await make(answering({ ok: true, answer: bad }).inference)).toMatchObject({
      planner: 'rule-based',
      fallback: { reason: 'invalid-answer' },
      costUsd: 0.003,
    });
  }
});

test('a recipe that is not allowed is replaced and counted, whatever the model says', async () => {
  const plan = answer.plan.map((slot, index) => (index === 0 ? { ...slot, recipe_id: 'not-on-offer' } : slot));
  const made = await make(answering({ ok: true, answer: { ...answer, plan } }).inference);
  expect(made.planner).toBe('planner_model/2');
  expect(made.interventions).toBeGreaterThanOrEqual(1);
  expect(made.choices[0]).toMatchObject({ source: 'validator' });
  expect(made.plan.slots.map(({ recipe_id }) => recipe_id)).not.toContain('not-on-offer');
});

test('without a model the rules plan with the parameters of their version, and that is no fallback', async () => {
  const { asked, inference } = answering({ ok: true, answer });
  expect(await make(inference, { model: null, parameters: { temperature: 0.1 } })).toMatchObject({
    planner: 'rule-based',
    temperature: 0.1,
    fallback: null,
  });
  expect(asked).toEqual([]);
});

test('the cost is tokens by the price of a million', () => {
  expect(costOfTokens({ tokensIn: 500_000, tokensOut: 100_000 }, prices)).toBe(2);
  expect(costOfTokens({ tokensIn: 0, tokensOut: 0 }, prices)).toBe(0);
});

test('two plans agree in the share of slots with the same recipe', () => {
  const planOf = (...recipes: string[]) => ({
    plan_version: 1 as const,
    slots: recipes.map((recipe_id, index) => ({
      slot_id: `2026-01-0${index + 1}/dinner`,
      date: `2026-01-0${index + 1}`,
      meal: 'dinner' as const,
      recipe_id,
      servings: 2,
    })),
  });
  expect(agreementOf(planOf('a', 'b', 'c', 'd'), planOf('a', 'x', 'c'))).toBe(0.5);
  expect(agreementOf(planOf(), planOf())).toBe(1);
});

test('a model that keeps failing is left alone for a moment, and one request tries again', async () => {
  let [now, asked, isUp] = [0, 0, false];
  const client = createInferenceClient({
    url: 'http://inference',
    nowMs: () => now,
    fetch: async () => {
      asked += 1;
      if (!isUp) throw new TypeError('fetch failed');
      return Response.json(answer);
    },
  });
  const plan = async (model = 'a/1') => {
    const result = await client.plan({ model, inputText: '{}', deadlineMs: 100 });
    return result.ok ? 'planned' : result.reason;
  };
  for (let attempt = 0; attempt < 5; attempt++) expect(await plan()).toBe('unavailable');
  expect([await plan(), asked]).toEqual(['circuit-open', 5]);
  expect(await plan('a/2')).toBe('unavailable');
  now = 2_000;
  expect([await plan(), await plan(), asked]).toEqual(['unavailable', 'circuit-open', 7]);
  [now, isUp] = [4_000, true];
  expect([await plan(), await plan()]).toEqual(['planned', 'planned']);
});

test.each([
  [404, 'unknown-model', 'unknown-model'],
  [400, 'invalid', 'invalid-answer'],
  [503, 'queue-full', 'busy'],
  [503, 'model-unavailable', 'unavailable'],
  [504, 'too-late', 'timeout'],
  [500, 'internal', 'unavailable'],
])('an answer with %i %s is the reason %s', async (status, code, reason) => {
  const client = createInferenceClient({
    url: 'http://inference',
    nowMs: () => 0,
    fetch: async () => Response.json({ code, message: 'why' }, { status }),
  });
  const ask = { model: 'a/1', inputText: '{}', deadlineMs: 100 };
  expect(await client.plan(ask)).toEqual({ ok: false, reason, detail: 'why' });
});
