// How a household answers a plan: it takes it, or replaces what it likes least, by its hidden taste.

import type { Catalogue } from '#domain/planning/catalogue.ts';
import type { Plan, PlanSlot } from '#domain/planning/plan-shape.ts';
import { findAllowed } from '#domain/planning/plan-validator.ts';
import type { PlanRequest } from '#domain/planning/request-shape.ts';
import type { Random } from '#domain/planning/seeded-random.ts';
import { type Taste, utilityOf } from './tastes.ts';

export type Reaction = {
  readonly outcome: 'accepted' | 'edited' | 'no_answer';
  readonly finalPlan: Plan;
  readonly editedSlots: readonly string[];
};

type SlotView = {
  readonly slot: PlanSlot;
  /** Other allowed candidates that the plan does not use yet, with their utility. */
  readonly alternatives: readonly { recipeId: string; utility: number }[];
  /** How much better the best alternative is than what was planned; 0 when none is better. */
  readonly regret: number;
};

const noAnswerShare = 0.08;

/**
 * Probability that a household accepts a plan: 0.1 + 0.8 × logistic(1.8 × (1.4 − mean regret of its slots)) + effect. The first
 * two terms stay within 0.1..0.9, so an effect of up to 0.1 either way is never cut off and holds exactly.
 */
export function acceptanceProbability(meanRegret: number, effect: number): number {
  return Math.min(1, Math.max(0, 0.1 + 0.8 * logistic(1.8 * (1.4 - meanRegret)) + effect));
}

export function reactTo(
  plan: Plan,
  request: PlanRequest,
  deps: { readonly catalogue: Catalogue; readonly taste: Taste; readonly random: Random; readonly effect: number },
): Reaction {
  const { catalogue, taste, random, effect } = deps;
  // Drawn first and always, so that two variants meet the same household in the same mood.
  const [answerDraw, acceptDraw] = [random(), random()];
  const views = plan.slots.map((slot) => viewSlot(slot, plan, request, { catalogue, taste }));
  if (views.length === 0 || answerDraw < noAnswerShare) {
    return { outcome: 'no_answer', finalPlan: plan, editedSlots: [] };
  }
  const meanRegret = views.reduce((sum, view) => sum + view.regret, 0) / views.length;
  if (acceptDraw < acceptanceProbability(meanRegret, effect)) {
    return { outcome: 'accepted', finalPlan: plan, editedSlots: [] };
  }
  return edit(plan, views, random);
}

function viewSlot(
  slot: PlanSlot,
  plan: Plan,
  request: PlanRequest,
  deps: { readonly catalogue: Catalogue; readonly taste: Taste },
): SlotView {
  const requested = request.slots.find(({ slot_id }) => slot_id === slot.slot_id);
  const inPlan = new Set(plan.slots.map(({ recipe_id }) => recipe_id));
  const allowed = requested ? findAllowed(requested, request, deps.catalogue) : [];
  const alternatives = allowed
    .filter((entry) => entry !== null)
    .filter(({ recipe }) => !inPlan.has(recipe.recipe_id))
    .map((entry) => ({ recipeId: entry.recipe.recipe_id, utility: utilityOf(entry, deps.taste) }));
  const planned = deps.catalogue.findRecipe(slot.recipe_id);
  const utility = planned ? utilityOf(planned, deps.taste) : Number.NEGATIVE_INFINITY;
  const best = Math.max(utility, ...alternatives.map((alternative) => alternative.utility));
  return { slot, alternatives, regret: best - utility };
}

/** Replaces the slot with the largest regret and, each by chance, others with a large one. */
function edit(plan: Plan, views: readonly SlotView[], random: Random): Reaction {
  const worst = views.reduce((a, b) => (b.regret > a.regret ? b : a));
  const replaced = new Map<string, string>();
  for (const view of views) {
    const wantsToEdit = random() < logistic(1.5 * (view.regret - 1.2));
    const [choice] = view.alternatives
      .filter(({ recipeId }) => ![...replaced.values()].includes(recipeId))
      .map(({ recipeId, utility }) => ({ recipeId, appeal: utility + 0.3 * drawGumbel(random) }))
      .sort((a, b) => b.appeal - a.appeal);
    if (choice && (wantsToEdit || view === worst)) replaced.set(view.slot.slot_id, choice.recipeId);
  }
  // Without any alternative the household can only ask for more of the same.
  const moreServings = replaced.size === 0 ? worst.slot.slot_id : null;
  const slots = plan.slots.map((slot) => ({
    ...slot,
    recipe_id: replaced.get(slot.slot_id) ?? slot.recipe_id,
    servings: slot.slot_id === moreServings ? slot.servings + 1 : slot.servings,
  }));
  const editedSlots = moreServings === null ? [...replaced.keys()] : [moreServings];
  return { outcome: 'edited', finalPlan: { ...plan, slots }, editedSlots };
}

function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

function drawGumbel(random: Random): number {
  return -Math.log(-Math.log(Math.max(random(), 1e-12)));
}
