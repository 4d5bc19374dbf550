// What a model reads of a request: words about the household and about each candidate; the dataset, the replay and serving use this one function.

import { toCanonicalJson } from './canonical-json.ts';
import type { Catalogue, CatalogueRecipe } from './catalogue.ts';
import { createRecipeCheck } from './constraint-check.ts';
import { createAlignmentScorer } from './plan-scores.ts';
import type { PlanRequest, RequestSlot } from './request-shape.ts';

/** Grows when the words or their meaning change: a model can only read the version that it was trained on. */
export const modelInputVersion = 1;

export type ModelCandidate = {
  readonly recipe_id: string;
  /** Words separated by single spaces; the last one is the recipe's id. */
  readonly text: string;
  /** False where the recipe is unknown or breaks a hard rule in this slot: constrained decoding leaves it out. */
  readonly allowed: boolean;
};

export type ModelSlot = { readonly slot_id: string; readonly candidates: readonly ModelCandidate[] };

export type ModelInput = {
  readonly model_input_version: typeof modelInputVersion;
  /** Words about the household, the mode and the plan before. */
  readonly context: string;
  /** One per slot of the request, candidates in its order. */
  readonly slots: readonly ModelSlot[];
};

/** Edits of the plan before that are told; more would make inputs long and say little. */
const toldEdits = 3;
/** Times are told in quarters of an hour and not above two hours. */
const minutesStep = 15;
const longestMinutes = 120;

/** Pure and total: equal request and catalogue give equal words. `catalogue` is that of the time of the request. */
export function toModelInput(request: PlanRequest, catalogue: Catalogue): ModelInput {
  const alignmentOf = createAlignmentScorer(request);
  const planned = new Set(request.previous_plan?.slots.map((slot) => slot.recipe_id));
  return {
    model_input_version: modelInputVersion,
    context: contextWords(request, catalogue).join(' '),
    slots: request.slots.map((slot) => {
      const check = createRecipeCheck(slot, request.constraints);
      return {
        slot_id: slot.slot_id,
        candidates: slot.candidates.map((recipe_id) => {
          const entry = catalogue.findRecipe(recipe_id);
          const allowed = entry !== null && check(entry).length === 0;
          const words = entry
            ? candidateWords(entry, { slot, allowed, alignmentOf, isRepeat: planned.has(recipe_id) })
            : ['breaks'];
          return { recipe_id, text: [...words, recipe_id].join(' '), allowed };
        }),
      };
    }),
  };
}

/** The bytes that a model is trained on and serves from. */
export function serializeModelInput(input: ModelInput): string {
  return toCanonicalJson(input);
}

function contextWords({ household, mode, previous_plan }: PlanRequest, catalogue: Catalogue): string[] {
  const facetsOf = (recipeId: string) => [...(catalogue.findRecipe(recipeId)?.facets ?? [])];
  const edits = (previous_plan?.slots ?? []).filter((slot) => slot.replaced_recipe_id !== null).slice(0, toldEdits);
  return [
    `region:${household.region}`,
    `skill:${household.cooking_skill}`,
    household.members.some(({ age_group }) => age_group === 'child') ? 'with_children' : 'adults_only',
    `mode:${mode}`,
    ...household.preferred_facets.map((facet) => `likes:${facet}`),
    ...edits.flatMap(({ recipe_id, replaced_recipe_id }) => [
      ...facetsOf(recipe_id).map((facet) => `took:${facet}`),
      ...facetsOf(replaced_recipe_id ?? '').map((facet) => `left:${facet}`),
    ]),
  ];
}

function candidateWords(
  entry: CatalogueRecipe,
  about: {
    slot: RequestSlot;
    allowed: boolean;
    isRepeat: boolean;
    alignmentOf: ReturnType<typeof createAlignmentScorer>;
  },
): string[] {
  const minutes = Math.min(longestMinutes, entry.recipe.minutes_at_least);
  return [
    about.allowed ? `fit:${Math.round(about.alignmentOf(entry, about.slot) * 10)}` : 'breaks',
    ...(about.isRepeat ? ['again'] : []),
    `minutes:${Math.floor(minutes / minutesStep) * minutesStep}`,
    ...entry.facets,
  ];
}
