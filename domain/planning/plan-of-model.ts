// Turns what a model answered into a plan that may be served: serving and the offline replay use this one function.

import type { Catalogue } from './catalogue.ts';
import type { SlotChoice } from './plan-shape.ts';
import { findAllowed, keepBudget, type PlannedPlan } from './plan-validator.ts';
import type { PlanRequest } from './request-shape.ts';

export type ModelSlotAnswer = { readonly slot_id: string; readonly probabilities: readonly number[] };
export type ModelSlotPlan = { readonly slot_id: string; readonly recipe_id: string };

/** What the programs in training answer: the probability of each candidate of each slot, and the decoded plan. */
export type ModelPlanAnswer = { readonly slots: readonly ModelSlotAnswer[]; readonly plan: readonly ModelSlotPlan[] };

export type ModelPlan =
  | {
      readonly ok: true;
      readonly planned: PlannedPlan;
      /** Per slot of the request, the model's probability of each candidate. */
      readonly probabilities: readonly (readonly number[])[];
    }
  /** The answer is none to this request; `problem` says where. */
  | { readonly ok: false; readonly problem: string };

/**
 * The model's plan, checked: a recipe that is not an allowed candidate of its slot is replaced by the most probable one that is, and the
 * budget is kept; both count as interventions. The plan is the model's best one and not a draw, so its choices have no action
 * propensity: their `propensities` are what the model thinks of each candidate.
 */
export function planOfModel(answer: ModelPlanAnswer, request: PlanRequest, catalogue: Catalogue): ModelPlan {
  const probabilities: (readonly number[])[] = [];
  for (const [index, { slot_id, candidates }] of request.slots.entries()) {
    const slot = answer.slots[index];
    if (slot?.slot_id !== slot_id || slot.probabilities.length !== candidates.length) {
      return { ok: false, problem: `the model did not answer slot ${slot_id}` };
    }
    if (!slot.probabilities.every((share) => share >= 0 && share <= 1)) {
      return { ok: false, problem: `the model's numbers for slot ${slot_id} are no probabilities` };
    }
    probabilities.push(slot.probabilities);
  }
  const choices = chooseAllowed(recipesOf(answer.plan, request), probabilities, request, catalogue);
  const kept = keepBudget(choices, request, catalogue);
  const replaced = choices.filter(({ source }) => source === 'validator').length;
  return { ok: true, planned: { ...kept, interventions: kept.interventions + replaced }, probabilities };
}

/** The recipe that a model wrote for each slot of the request, in its order; null where it wrote none. */
export function recipesOf(plan: readonly ModelSlotPlan[], request: PlanRequest): (string | null)[] {
  const bySlot = new Map(plan.map(({ slot_id, recipe_id }) => [slot_id, recipe_id]));
  return request.slots.map(({ slot_id }) => bySlot.get(slot_id) ?? null);
}

function chooseAllowed(
  recipeIds: readonly (string | null)[],
  probabilities: readonly (readonly number[])[],
  request: PlanRequest,
  catalogue: Catalogue,
): SlotChoice[] {
  const used = new Set(recipeIds);
  return request.slots.map((slot, index) => {
    const shares = probabilities[index] ?? [];
    const allowed = findAllowed(slot, request, catalogue).map((entry) => entry?.recipe.recipe_id ?? null);
    const written = recipeIds[index] ?? null;
    const isKept = written === null ? allowed.every((id) => id === null) : allowed.includes(written);
    const recipe_id = isKept ? written : mostProbable(allowed, shares, used);
    used.add(recipe_id);
    return {
      slot_id: slot.slot_id,
      recipe_id,
      source: isKept ? 'policy' : 'validator',
      propensities: [...shares],
      action_propensity: null,
    };
  });
}

/** A recipe that the plan has already is taken only where nothing else is allowed; null when nothing is. */
function mostProbable(
  allowed: readonly (string | null)[],
  shares: readonly number[],
  used: ReadonlySet<string | null>,
): string | null {
  const ranked = allowed
    .map((recipeId, index) => ({ recipeId, share: shares[index] ?? 0 }))
    .filter(({ recipeId }) => recipeId !== null)
    .sort((a, b) => b.share - a.share);
  return (ranked.find(({ recipeId }) => !used.has(recipeId)) ?? ranked[0])?.recipeId ?? null;
}
