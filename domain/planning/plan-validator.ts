// What stands behind every planner: which candidates are allowed, the validator that keeps the budget, and a plan from chosen recipes.

import type { Catalogue, CatalogueRecipe } from './catalogue.ts';
import { allowedCostUsd, createRecipeCheck, pantryOf, slotCostUsd } from './constraint-check.ts';
import type { Plan, SlotChoice } from './plan-shape.ts';
import type { PlanRequest, RequestSlot } from './request-shape.ts';

export type PlannedPlan = {
  readonly plan: Plan;
  /** One per slot of the request, in its order. */
  readonly choices: readonly SlotChoice[];
  /** Slots that the validator changed to keep the budget. */
  readonly interventions: number;
};

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

/** The plan that takes for each slot of the request, in its order, this recipe; null leaves the slot open. */
export function planOfRecipes(request: PlanRequest, recipeIds: readonly (string | null)[]): Plan {
  const slots = request.slots.flatMap(({ slot_id, date, meal, servings }, index) => {
    const recipe_id = recipeIds[index] ?? null;
    return recipe_id === null ? [] : [{ slot_id, date, meal, recipe_id, servings }];
  });
  return { plan_version: 1, slots };
}

/**
 * The validator: swaps slots to their cheapest allowed candidate, the largest saving first, until the budget is kept or
 * nothing more can be saved. Costs of slots do not depend on each other, so what remains over budget could not have been
 * kept. `choices` has one entry per slot of the request, in its order.
 */
export function keepBudget(choices: readonly SlotChoice[], request: PlanRequest, catalogue: Catalogue): PlannedPlan {
  const kept = [...choices];
  const interventions = swapToBudget(kept, request, catalogue);
  const plan = planOfRecipes(
    request,
    kept.map(({ recipe_id }) => recipe_id),
  );
  return { plan, choices: kept, interventions };
}

function swapToBudget(kept: SlotChoice[], request: PlanRequest, catalogue: Catalogue): number {
  const allowedUsd = allowedCostUsd(request);
  if (allowedUsd === null) return 0;
  const pantry = pantryOf(request);
  const costInCents = (entry: CatalogueRecipe, slot: RequestSlot) =>
    Math.round(slotCostUsd(entry, slot.servings, pantry) * 100);
  const swaps = request.slots.flatMap((slot, index) => {
    const recipeId = kept[index]?.recipe_id ?? null;
    const now = recipeId === null ? null : catalogue.findRecipe(recipeId);
    if (!now) return [];
    const options = findAllowed(slot, request, catalogue).filter((entry) => entry !== null);
    const cheapest = options.reduce(
      (best, entry) => (costInCents(entry, slot) < costInCents(best, slot) ? entry : best),
      options[0] ?? now,
    );
    const cost = costInCents(now, slot);
    return [{ index, cost, cheapest, saving: cost - costInCents(cheapest, slot) }];
  });
  let over = swaps.reduce((sum, { cost }) => sum + cost, 0) - Math.round(allowedUsd * 100);
  let interventions = 0;
  for (const { index, cheapest, saving } of swaps.sort((a, b) => b.saving - a.saving)) {
    const choice = kept[index];
    if (over <= 0 || saving <= 0 || choice === undefined) break;
    kept[index] = { ...choice, recipe_id: cheapest.recipe.recipe_id, source: 'validator', action_propensity: null };
    over -= saving;
    interventions += 1;
  }
  return interventions;
}
