// The scores of a plan: each from 0 to 1, higher is better, from the plan, its request and the catalogue alone.

import { type NotComputable, notComputable } from '../statistics/result.ts';
import type { Catalogue, CatalogueRecipe } from './catalogue.ts';
import {
  allowedCostUsd,
  checkPlan,
  isWeekend,
  listDuePantryItems,
  pantryOf,
  slotCostUsd,
  usesIngredient,
} from './constraint-check.ts';
import type { Plan, PlanSlot } from './plan-shape.ts';
import type { PlanningMode, PlanRequest, RequestSlot } from './request-shape.ts';

/** A score from 0 to 1, or why there is none. */
export type Score = { readonly status: 'computed'; readonly value: number } | NotComputable;

/** Weights of the four parts of plan_alignment_score, by mode; each row sums to 1. */
export const alignmentWeights: Readonly<Record<PlanningMode, Readonly<Record<AlignmentPart, number>>>> = {
  standard: { preference: 0.5, pantry: 0.2, ease: 0.2, thrift: 0.1 },
  leftovers: { preference: 0.3, pantry: 0.5, ease: 0.1, thrift: 0.1 },
  savings: { preference: 0.3, pantry: 0.1, ease: 0.1, thrift: 0.5 },
};
export type AlignmentPart = 'preference' | 'pantry' | 'ease' | 'thrift';

/** Stated preferences beyond the second do not raise the preference part: no recipe can be everything at once. */
const preferencesThatCount = 2;
/** Pantry ingredients beyond the third do not raise the pantry part. */
const pantryIngredientsThatCount = 3;

/** What one requested slot needs to be scored, worked out once per request. */
export type AlignmentScorer = (entry: CatalogueRecipe, slot: RequestSlot) => number;

/**
 * Alignment of one recipe in one slot with what the request says, 0 to 1, higher is better:
 * Σ weight × part ÷ Σ weight over the parts that the request and the recipe give a value for; 0 when there is none.
 *
 * - preference = min(1, |facets ∩ preferred| ÷ min(2, |preferred|)); left out when nothing is preferred
 * - pantry = min(1, |ingredients ∩ pantry| ÷ 3); left out when the pantry is empty
 * - ease = max(0, 1 − minutes ÷ allowed minutes); left out without a limit or when the minutes are unknown
 * - thrift = max(0, 1 − cost ÷ (allowed cost ÷ slots)); left out without a budget
 */
export function createAlignmentScorer(request: PlanRequest): AlignmentScorer {
  const weights = alignmentWeights[request.mode];
  const pantry = pantryOf(request);
  const preferred = request.household.preferred_facets;
  const allowedUsd = allowedCostUsd(request);
  return (entry, slot) => {
    const { recipe, facets } = entry;
    const parts: Partial<Record<AlignmentPart, number>> = {};
    if (preferred.length > 0) {
      const liked = preferred.filter((facet) => facets.has(facet)).length;
      parts.preference = Math.min(1, liked / Math.min(preferencesThatCount, preferred.length));
    }
    if (pantry.size > 0) {
      const used = recipe.ingredients.filter((ingredient) => pantry.has(ingredient)).length;
      parts.pantry = Math.min(1, used / pantryIngredientsThatCount);
    }
    const allowedMinutes = allowedMinutesOf(request, slot);
    if (allowedMinutes !== null && recipe.minutes !== null) {
      parts.ease = Math.max(0, 1 - recipe.minutes / allowedMinutes);
    }
    if (allowedUsd !== null) {
      const share = allowedUsd / request.slots.length;
      parts.thrift = Math.max(0, 1 - slotCostUsd(entry, slot.servings, pantry) / share);
    }
    return weightedMean(parts, weights);
  };
}

/**
 * plan_alignment_score: how well the plan fits what the household has said. Mean over the requested slots of the
 * alignment of the recipe planned for it; an open slot and an unknown recipe count 0. Range 0..1, higher is better.
 * It needs no answer of the household, so it exists the moment a plan is made; hidden tastes are not in it.
 */
export function planAlignmentScore(plan: Plan, request: PlanRequest, catalogue: Catalogue): number {
  const alignmentOf = createAlignmentScorer(request);
  const planned = new Map(plan.slots.map((slot) => [slot.slot_id, slot.recipe_id]));
  const total = request.slots.reduce((sum, slot) => {
    const entry = catalogue.findRecipe(planned.get(slot.slot_id) ?? '');
    return sum + (entry ? alignmentOf(entry, slot) : 0);
  }, 0);
  return total / request.slots.length;
}

/**
 * constraint_respect_score: 1 − broken hard rules ÷ hard rules looked at (see `checkPlan`). Range 0..1, higher is
 * better; 1 exactly when no hard rule is broken.
 */
export function constraintRespectScore(plan: Plan, request: PlanRequest, catalogue: Catalogue): number {
  const { violations, hardRules } = checkPlan(plan, request, catalogue);
  const broken = violations.filter((violation) => violation.severity === 'hard').length;
  return Math.max(0, 1 - broken / hardRules);
}

/**
 * edit_distance_score: how little the household had to change. 1 − Σ cost ÷ number of slots in either plan, with the
 * cost of a slot 0 (same recipe and servings), 0.25 (same recipe, other servings) or 1 (other recipe, or only in one of
 * the plans). Range 0..1, higher is better; 1 when nothing was changed, and for two empty plans. Symmetric.
 */
export function editDistanceScore(plan: Plan, finalPlan: Plan): number {
  const before = new Map(plan.slots.map((slot) => [slot.slot_id, slot]));
  const after = new Map(finalPlan.slots.map((slot) => [slot.slot_id, slot]));
  const slotIds = new Set([...before.keys(), ...after.keys()]);
  if (slotIds.size === 0) return 1;
  let cost = 0;
  for (const slotId of slotIds) cost += editCost(before.get(slotId), after.get(slotId));
  return 1 - cost / slotIds.size;
}

function editCost(before: PlanSlot | undefined, after: PlanSlot | undefined): number {
  if (before?.recipe_id === undefined || before.recipe_id !== after?.recipe_id) return 1;
  return before.servings === after.servings ? 0 : 0.25;
}

/**
 * diversity_score: 1 − mean over all pairs of slots of the Jaccard similarity of (facets ∪ ingredients) of their
 * recipes. Range 0..1, higher is more varied. Not computable with fewer than two known recipes.
 */
export function diversityScore(plan: Plan, catalogue: Catalogue): Score {
  const traits = plan.slots.flatMap((slot) => {
    const entry = catalogue.findRecipe(slot.recipe_id);
    return entry
      ? [new Set<string>([...entry.facets, ...entry.recipe.ingredients.map((name) => `ingredient:${name}`)])]
      : [];
  });
  if (traits.length < 2) {
    return notComputable('too-few-units', `diversity compares recipes, and the plan has ${traits.length}`);
  }
  let similarity = 0;
  let pairs = 0;
  for (const [i, a] of traits.entries()) {
    for (const b of traits.slice(i + 1)) {
      const union = a.union(b).size;
      similarity += union === 0 ? 1 : a.intersection(b).size / union;
      pairs += 1;
    }
  }
  return { status: 'computed', value: 1 - similarity / pairs };
}

/**
 * leftovers_use_score: share of the pantry items with a last day within the days of the request that the plan uses on
 * or before that day. Range 0..1, higher is better. Not computable when no item falls due.
 */
export function leftoversUseScore(plan: Plan, request: PlanRequest, catalogue: Catalogue): Score {
  const due = listDuePantryItems(request);
  if (due.length === 0) return notComputable('no-data', 'no pantry item falls due within the days of the request');
  const used = due.filter(({ ingredient, use_by }) => usesIngredient(plan, ingredient, use_by, catalogue)).length;
  return { status: 'computed', value: used / due.length };
}

function allowedMinutesOf(request: PlanRequest, slot: RequestSlot): number | null {
  const days = isWeekend(slot.date) ? 'weekend' : 'weekday';
  const limits = request.constraints.flatMap((c) => (c.kind === 'max_minutes' && c.days === days ? [c.minutes] : []));
  return limits.length === 0 ? null : Math.min(...limits);
}

function weightedMean(parts: Partial<Record<AlignmentPart, number>>, weights: Readonly<Record<AlignmentPart, number>>) {
  let sum = 0;
  let weight = 0;
  for (const [part, value] of Object.entries(parts) as [AlignmentPart, number][]) {
    sum += weights[part] * value;
    weight += weights[part];
  }
  return weight === 0 ? 0 : sum / weight;
}
