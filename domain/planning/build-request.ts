// Puts a planning request together: the only place that makes one, so serving, datasets and simulation cannot differ.

import { toCanonicalJson } from './canonical-json.ts';
import { type Catalogue, compareText } from './catalogue.ts';
import { createRecipeCheck } from './constraint-check.ts';
import type { Meal } from './recipe-shape.ts';
import type { Constraint, PlanRequest, RequestSlot } from './request-shape.ts';
import { drawSome, type Random } from './seeded-random.ts';

export type CandidateConfig = {
  /** Candidates per slot. */
  readonly count: number;
  /** How many of them should break no constraint, as far as the catalogue has such recipes. */
  readonly minAllowed: number;
};
export const defaultCandidateConfig: CandidateConfig = { count: 8, minAllowed: 5 };

export type SlotWish = { readonly date: string; readonly meal: Meal; readonly servings: number };
export type PlanRequestParts = Omit<PlanRequest, 'request_version' | 'slots'> & {
  readonly slots: readonly RequestSlot[];
};

export function toSlotId(date: string, meal: Meal): string {
  return `${date}/${meal}`;
}

/**
 * Draws the candidates of one slot from the recipes for its meal. Retrieval does not know all constraints: some of the
 * candidates break one, and choosing well among them is the task of the planner (and of a model).
 */
export function drawCandidates(
  wish: SlotWish,
  constraints: readonly Constraint[],
  deps: { readonly catalogue: Catalogue; readonly random: Random; readonly config?: CandidateConfig },
): RequestSlot {
  const { count, minAllowed } = deps.config ?? defaultCandidateConfig;
  const slot = { slot_id: toSlotId(wish.date, wish.meal), ...wish, candidates: [] };
  const check = createRecipeCheck(slot, constraints);
  const recipes = deps.catalogue.listForMeal(wish.meal);
  const allowed = drawSome(
    deps.random,
    recipes.filter((entry) => check(entry).length === 0),
    minAllowed,
  );
  const others = recipes.filter((entry) => !allowed.includes(entry));
  const drawn = [...allowed, ...drawSome(deps.random, others, count - allowed.length)];
  // Sorted, so that the order says nothing about which of them are allowed.
  return { ...slot, candidates: drawn.map(({ recipe }) => recipe.recipe_id).sort(compareText) };
}

/** A request with its lists in one fixed order, so equal facts give equal bytes wherever they were read from. */
export function buildPlanRequest(parts: PlanRequestParts): PlanRequest {
  return {
    request_version: 1,
    workflow_type: parts.workflow_type,
    mode: parts.mode,
    requested_at: parts.requested_at,
    household: { ...parts.household, preferred_facets: [...parts.household.preferred_facets].sort(compareText) },
    pantry: [...parts.pantry].sort((a, b) => compareText(toCanonicalJson(a), toCanonicalJson(b))),
    constraints: [...parts.constraints].sort((a, b) => compareText(toCanonicalJson(a), toCanonicalJson(b))),
    slots: [...parts.slots].sort((a, b) => compareText(a.slot_id, b.slot_id)),
    previous_plan: parts.previous_plan,
  };
}
