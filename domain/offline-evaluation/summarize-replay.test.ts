// Tests of the figures of a replay: estimates from logged traffic with a known truth, scores, segments, and the decision.

import { describe, expect, test } from 'vitest';
import { toModelInput } from '#domain/planning/model-input.ts';
import type { SlotChoice } from '#domain/planning/plan-shape.ts';
import { sampleCatalogue as catalogue, planOf, requestWith } from '#domain/planning/planning-samples.ts';
import { createRandom, drawIndex } from '#domain/planning/seeded-random.ts';
import { isComputed } from '#domain/statistics/result.ts';
import { defaultTolerances } from './gate.ts';
import { assessPlan } from './plan-quality.ts';
import type { AssessedAnswer, ReplayedPlan } from './replayed-plan.ts';
import { summarizeReplay } from './summarize-replay.ts';

const request = requestWith([]);
const keptRates = [0.2, 0.5, 0.9];
const logging = [0.4, 0.3, 0.3];
const target = [0.1, 0.2, 0.7];
const recipes = ['beef-stew', 'nut-soup', 'rice-bowl'];
const options = { seed: 1, samples: 500, tolerances: defaultTolerances };

/** A household that keeps a recipe with the rate of its position, planned by a policy with known propensities. */
function loggedPlan(number: number, models: { model: string; baseline: string }): ReplayedPlan {
  const random = createRandom(`plan/${number}`);
  const chosen = request.slots.map(() => drawIndex(random, logging));
  const edited = request.slots.filter((_, index) => random() >= keptRates[chosen[index]!]!);
  const choices = request.slots.map(
    ({ slot_id }, index): SlotChoice => ({
      slot_id,
      recipe_id: recipes[chosen[index]!]!,
      source: 'policy',
      propensities: logging,
      action_propensity: logging[chosen[index]!]!,
    }),
  );
  const finalPlan = planOf(['rice-bowl'], ['rice-bowl']);
  const answer = (recipeId: string): AssessedAnswer => {
    const plan = planOf([recipeId], [recipeId]);
    const quality = assessPlan(plan, { request, finalPlan, catalogue });
    return {
      plan,
      unconstrainedPlan: plan,
      interventions: 0,
      probabilities: request.slots.map(() => target),
      latencyMs: number,
      quality,
      unconstrainedQuality: quality,
    };
  };
  return {
    planId: `plan-${number}`,
    householdId: `household-${number % 40}`,
    request: { ...request, mode: number % 2 === 0 ? 'standard' : 'savings' },
    modelInput: toModelInput(request, catalogue),
    choices,
    finalPlan,
    editedSlots: edited.map(({ slot_id }) => slot_id),
    model: answer(models.model),
    baseline: answer(models.baseline),
  };
}

const plansOf = (models: { model: string; baseline: string }) =>
  Array.from({ length: 800 }, (_, number) => loggedPlan(number, models));

describe('a replay', () => {
  const plans = plansOf({ model: 'rice-bowl', baseline: 'beef-stew' });
  const summary = summarizeReplay(plans, options);

  test('estimates what the model would have earned from traffic that another policy served', () => {
    const truth = target.reduce((sum, share, index) => sum + share * keptRates[index]!, 0);
    const { measured, snips, doublyRobust } = summary.keptSlots;
    expect(measured).toBeCloseTo(0.5, 1);
    for (const estimate of [snips, doublyRobust]) {
      if (!isComputed(estimate)) throw new Error(estimate.detail);
      expect(estimate.interval.lower).toBeLessThan(truth);
      expect(estimate.interval.upper).toBeGreaterThan(truth);
      expect(estimate.interval.lower).toBeGreaterThan(measured!);
    }
    if (!isComputed(summary.acceptance)) throw new Error(summary.acceptance.detail);
    expect(summary.acceptance.interval.lower).toBeLessThan(truth ** 2);
    expect(summary.acceptance.interval.upper).toBeGreaterThan(truth ** 2);
  });

  test('compares both planners on the same plans, in all and by segment', () => {
    expect(summary).toMatchObject({ plans: 800, households: 40, answeredPlans: 800 });
    expect(summary.scores.edit_distance_score).toMatchObject({ model: 1, baseline: 0, difference: 1, lower: 1 });
    expect(summary.editedSlots).toMatchObject({ model: 1, baseline: 0 });
    expect(summary.modelLatencyMs).toEqual({ mean: 399.5, p95: 759 });
    const modes = summary.segments.filter(({ dimension }) => dimension === 'mode');
    expect(modes.map(({ value, edits }) => [value, isComputed(edits) && edits.plans])).toEqual([
      ['savings', 400],
      ['standard', 400],
    ]);
    expect(summarizeReplay(plans, options)).toEqual(summary);
  });

  test('fails a model that households would have to change more', () => {
    expect(summarizeReplay(plansOf({ model: 'beef-stew', baseline: 'rice-bowl' }), options).decision.verdict).toBe(
      'fail',
    );
  });

  test('fails a model whose plans break a rule, although households would take them', () => {
    const broken = plans.map((plan, index) =>
      index > 0
        ? plan
        : {
            ...plan,
            model: {
              ...plan.model,
              quality: assessPlan(plan.model.plan, {
                request: requestWith([{ kind: 'exclude_ingredient', ingredient: 'rice' }]),
                finalPlan: plan.finalPlan,
                catalogue,
              }),
            },
          },
    );
    const { verdict, criteria } = summarizeReplay(broken, options).decision;
    expect(verdict).toBe('fail');
    expect(criteria.find(({ name }) => name === 'constraints')?.verdict).toBe('fail');
  });

  test('has no estimate without answers or without probabilities, and says so', () => {
    const silent = plans.slice(0, 10).map((plan) => ({ ...plan, editedSlots: null, finalPlan: null }));
    const { keptSlots, acceptance, decision } = summarizeReplay(silent, options);
    expect(keptSlots).toMatchObject({ measured: null, snips: { reason: 'no-data' } });
    expect(isComputed(acceptance)).toBe(false);
    expect(decision.verdict).toBe('inconclusive');
  });
});
