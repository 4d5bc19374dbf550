// The baseline planner: rules decide what is allowed, a softmax over the visible score decides what is served, and its propensities are logged.

import type { Catalogue, CatalogueRecipe } from './catalogue.ts';
import { allowedCostUsd, createRecipeCheck, pantryOf, slotCostUsd } from './constraint-check.ts';
import { createAlignmentScorer } from './plan-scores.ts';
import type { Plan, SlotChoice } from './plan-shape.ts';
import type { PlanRequest, RequestSlot } from './request-shape.ts';
import { drawIndex, type Random } from './seeded-random.ts';

export type PlannerConfig = {
  /** Softmax temperature on a score of about −1..1; lower is closer to always taking the best. */
  readonly temperature: number;
  /** Taken off the score of a recipe that is already in this plan or was in the previous one. */
  readonly repetitionPenalty: number;
};
export const defaultPlannerConfig: PlannerConfig = { temperature: 0.25, repetitionPenalty: 0.5 };

export type PlannedPlan = {
  readonly plan: Plan;
  /** One per slot of the request, in its order. */
  readonly choices: readonly SlotChoice[];
  /** Slots that the validator changed to keep the budget. */
  readonly interventions: number;
};

type Filled = { readonly slot: RequestSlot; choice: SlotChoice };

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
  const filled = request.slots.map((slot): Filled => {
    const scores = findAllowed(slot, request, catalogue).map((entry) => {
      if (!entry) return null;
      return alignmentOf(entry, slot) - (used.has(entry.recipe.recipe_id) ? config.repetitionPenalty : 0);
    });
    const propensities = softmax(scores, config.temperature);
    const chosen = drawIndex(random, propensities);
    const recipe_id = slot.candidates[chosen] ?? null;
    if (recipe_id !== null) used.add(recipe_id);
    const action_propensity = propensities[chosen] ?? null;
    return { slot, choice: { slot_id: slot.slot_id, recipe_id, source: 'policy', propensities, action_propensity } };
  });
  const interventions = keepBudget(filled, request, catalogue);
  const slots = filled.flatMap(({ slot, choice }) =>
    choice.recipe_id === null
      ? []
      : [
          {
            slot_id: slot.slot_id,
            date: slot.date,
            meal: slot.meal,
            recipe_id: choice.recipe_id,
            servings: slot.servings,
          },
        ],
  );
  return { plan: { plan_version: 1, slots }, choices: filled.map(({ choice }) => choice), interventions };
}

/** The candidates of a slot in their order, with null for one that is unknown or breaks a hard rule. */
export function findAllowed(
  slot: RequestSlot,
  request: Pick<PlanRequest, 'constraints'>,
  catalogue: Catalogue,
): (CatalogueRecipe | null)[] {
  const check = createRecipeCheck(slot, request.constraints);
  return slot.candidates.map((recipeId) => {
    const entry = catalogue.findRecipe(recipeId);
    return entry && check(entry).length === 0 ? entry : null;
  });
}

/** exp(score ÷ temperature), normalized; null scores get 0. All zeros when every score is null. */
export function softmax(scores: readonly (number | null)[], temperature: number): number[] {
  const highest = Math.max(...scores.map((score) => score ?? Number.NEGATIVE_INFINITY));
  const weights = scores.map((score) => (score === null ? 0 : Math.exp((score - highest) / temperature)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => (total === 0 ? 0 : weight / total));
}

/**
 * Swaps slots to their cheapest allowed candidate, the largest saving first, until the budget is kept or nothing more
 * can be saved. Costs of slots do not depend on each other, so what remains over budget could not have been kept.
 */
function keepBudget(filled: readonly Filled[], request: PlanRequest, catalogue: Catalogue): number {
  const allowedUsd = allowedCostUsd(request);
  if (allowedUsd === null) return 0;
  const pantry = pantryOf(request);
  const costInCents = (entry: CatalogueRecipe, slot: RequestSlot) =>
    Math.round(slotCostUsd(entry, slot.servings, pantry) * 100);
  const swaps = filled.flatMap((target) => {
    const { slot, choice } = target;
    const now = choice.recipe_id === null ? null : catalogue.findRecipe(choice.recipe_id);
    if (!now) return [];
    const options = findAllowed(slot, request, catalogue).filter((entry) => entry !== null);
    const cheapest = options.reduce((best, entry) =>
      costInCents(entry, slot) < costInCents(best, slot) ? entry : best,
    );
    const cost = costInCents(now, slot);
    return [{ target, cost, cheapest, saving: cost - costInCents(cheapest, slot) }];
  });
  let over = swaps.reduce((sum, { cost }) => sum + cost, 0) - Math.round(allowedUsd * 100);
  let interventions = 0;
  for (const { target, cheapest, saving } of swaps.sort((a, b) => b.saving - a.saving)) {
    if (over <= 0 || saving <= 0) break;
    target.choice = {
      ...target.choice,
      recipe_id: cheapest.recipe.recipe_id,
      source: 'validator',
      action_propensity: null,
    };
    over -= saving;
    interventions += 1;
  }
  return interventions;
}
