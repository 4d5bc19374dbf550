// The baseline planner: rules decide what is allowed, a softmax over the visible score decides what is served, and its propensities are logged.

import type { Catalogue } from './catalogue.ts';
import { createAlignmentScorer } from './plan-scores.ts';
import type { SlotChoice } from './plan-shape.ts';
import { findAllowed, keepBudget, type PlannedPlan } from './plan-validator.ts';
import type { PlanRequest } from './request-shape.ts';
import { drawIndex, type Random } from './seeded-random.ts';

export type PlannerConfig = {
  /** Softmax temperature on a score of about −1..1; lower is closer to always taking the best. */
  readonly temperature: number;
  /** Taken off the score of a recipe that is already in this plan or was in the previous one. */
  readonly repetitionPenalty: number;
};
export const defaultPlannerConfig: PlannerConfig = { temperature: 0.25, repetitionPenalty: 0.5 };

/**
 * Plans a request. Deterministic for a given stream of random numbers. A candidate that breaks a hard rule is never
 * served: a slot without an allowed candidate stays open, and the budget is kept whenever the allowed candidates can
 * keep it (then `source` of the changed slots is `validator`). Propensities are conditional on the slots before.
 */
export function planByRules(
  request: PlanRequest,
  deps: { readonly catalogue: Catalogue; readonly random: Random; readonly config?: PlannerConfig },
): PlannedPlan {
  const { catalogue, random, config = defaultPlannerConfig } = deps;
  const alignmentOf = createAlignmentScorer(request);
  const used = new Set(request.previous_plan?.slots.map((slot) => slot.recipe_id));
  const choices = request.slots.map((slot): SlotChoice => {
    const scores = findAllowed(slot, request, catalogue).map((entry) => {
      if (!entry) return null;
      return alignmentOf(entry, slot) - (used.has(entry.recipe.recipe_id) ? config.repetitionPenalty : 0);
    });
    const propensities = softmax(scores, config.temperature);
    const chosen = drawIndex(random, propensities);
    const recipe_id = slot.candidates[chosen] ?? null;
    if (recipe_id !== null) used.add(recipe_id);
    const action_propensity = propensities[chosen] ?? null;
    return { slot_id: slot.slot_id, recipe_id, source: 'policy', propensities, action_propensity };
  });
  return keepBudget(choices, request, catalogue);
}

/** exp(score ÷ temperature), normalized; null scores get 0. All zeros when every score is null. */
export function softmax(scores: readonly (number | null)[], temperature: number): number[] {
  const highest = Math.max(...scores.map((score) => score ?? Number.NEGATIVE_INFINITY));
  const weights = scores.map((score) => (score === null ? 0 : Math.exp((score - highest) / temperature)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => (total === 0 ? 0 : weight / total));
}
