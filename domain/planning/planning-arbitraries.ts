// Random recipes, catalogues and requests for property tests.

import fc from 'fast-check';
import { createCatalogue } from './catalogue.ts';
import { allergens } from './ingredient-lexicon.ts';
import { recipeFacets } from './recipe-facets.ts';
import { diets, meals, type Recipe } from './recipe-shape.ts';
import { type Constraint, cookingSkills, type PlanRequest, planningModes, regions } from './request-shape.ts';

const ingredientNames = ['onion', 'garlic', 'beef', 'chicken', 'rice', 'pasta', 'milk', 'egg', 'mushroom', 'chili'];
const dates = ['2026-01-09', '2026-01-10', '2026-01-11', '2026-01-12'];
const recipeIds = Array.from({ length: 12 }, (_, i) => `recipe-${i}`);
const uuid = '11111111-1111-4111-8111-111111111111';

const mapOf = <K extends string, V>(keys: readonly K[], value: fc.Arbitrary<V>) =>
  fc
    .tuple(...keys.map(() => value))
    .map((values) => Object.fromEntries(keys.map((key, index) => [key, values[index]])) as Record<K, V>);

function arbitraryRecipe(recipe_id: string): fc.Arbitrary<Recipe> {
  return fc.record({
    recipe_id: fc.constant(recipe_id),
    title: fc.constant(recipe_id),
    tags: fc.subarray(['italian', 'soup', 'spicy', 'quick']),
    meals: fc.subarray([...meals]),
    ingredients: fc.subarray(ingredientNames),
    ingredient_lines: fc.constant(3),
    unread_lines: fc.integer({ min: 0, max: 1 }),
    allergens: mapOf(allergens, fc.constantFrom('contains', 'unknown', 'free', 'free')),
    diets: mapOf(diets, fc.constantFrom('yes', 'yes', 'no', 'unknown')),
    minutes: fc.option(fc.integer({ min: 0, max: 90 })),
    minutes_at_least: fc.integer({ min: 0, max: 90 }),
    servings: fc.option(fc.integer({ min: 1, max: 8 })),
    cost_per_serving_usd: fc.integer({ min: 0, max: 900 }).map((cents) => cents / 100),
  });
}

export const arbitraryCatalogue = fc.tuple(...recipeIds.map(arbitraryRecipe)).map(createCatalogue);

const arbitraryConstraint: fc.Arbitrary<Constraint> = fc.oneof(
  fc.record({ kind: fc.constant('allergy' as const), allergen: fc.constantFrom(...allergens) }),
  fc.record({ kind: fc.constant('diet' as const), diet: fc.constantFrom(...diets) }),
  fc.record({ kind: fc.constant('exclude_ingredient' as const), ingredient: fc.constantFrom(...ingredientNames) }),
  fc.record({
    kind: fc.constant('max_minutes' as const),
    days: fc.constantFrom('weekday' as const, 'weekend' as const),
    minutes: fc.integer({ min: 1, max: 100 }),
  }),
  fc.record({ kind: fc.constant('budget' as const), usd_per_day: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ kind: fc.constant('max_uses' as const), count: fc.integer({ min: 1, max: 2 }) }),
);

const arbitrarySlot = fc
  .record({
    date: fc.constantFrom(...dates),
    meal: fc.constantFrom(...meals),
    servings: fc.integer({ min: 1, max: 6 }),
    // One id that no catalogue has: candidates come from outside.
    candidates: fc.subarray([...recipeIds, 'unknown-recipe']),
  })
  .map((slot) => ({ slot_id: `${slot.date}/${slot.meal}`, ...slot }));

export const arbitraryRequest: fc.Arbitrary<PlanRequest> = fc.record({
  request_version: fc.constant(1 as const),
  workflow_type: fc.constantFrom('weekly_plan' as const, 'replan_day' as const),
  mode: fc.constantFrom(...planningModes),
  requested_at: fc.constant('2026-01-08T10:00:00.000Z'),
  household: fc.record({
    household_id: fc.constant(uuid),
    members: fc.array(fc.record({ age_group: fc.constantFrom('adult' as const, 'child' as const) }), {
      minLength: 1,
      maxLength: 5,
    }),
    region: fc.constantFrom(...regions),
    cooking_skill: fc.constantFrom(...cookingSkills),
    preferred_facets: fc.subarray([...recipeFacets], { maxLength: 3 }),
  }),
  pantry: fc.uniqueArray(
    fc.record({ ingredient: fc.constantFrom(...ingredientNames), use_by: fc.option(fc.constantFrom(...dates)) }),
    { selector: (item) => item.ingredient, maxLength: 5 },
  ),
  constraints: fc.array(arbitraryConstraint, { maxLength: 5 }),
  slots: fc.uniqueArray(arbitrarySlot, { selector: (slot) => slot.slot_id, minLength: 1, maxLength: 6 }),
  previous_plan: fc.option(
    fc.record({
      plan_id: fc.constant(uuid),
      outcome: fc.constantFrom('accepted' as const, 'edited' as const, 'no_answer' as const),
      slots: fc.array(
        fc.record({
          slot_id: fc.constant('2026-01-08/dinner'),
          recipe_id: fc.constantFrom(...recipeIds),
          replaced_recipe_id: fc.option(fc.constantFrom(...recipeIds)),
        }),
        { maxLength: 3 },
      ),
    }),
  ),
});

/** A plan for the slots of a request, with recipes that may be unknown, unsafe or for too few people. */
export function arbitraryPlanFor(request: PlanRequest) {
  return fc
    .subarray(request.slots)
    .chain((slots) =>
      fc.tuple(
        ...slots.map((slot) =>
          fc.record({
            slot_id: fc.constant(slot.slot_id),
            date: fc.constant(slot.date),
            meal: fc.constant(slot.meal),
            recipe_id: fc.constantFrom(...recipeIds, 'unknown-recipe'),
            servings: fc.integer({ min: 1, max: 6 }),
          }),
        ),
      ),
    )
    .map((slots) => ({ plan_version: 1 as const, slots }));
}
