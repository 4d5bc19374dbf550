// The shape of a recipe as the planner, the checker and the training code see it: normalized, with what is unknown kept unknown.

import { type Static, Type } from '@sinclair/typebox';
import { allergens } from './ingredient-lexicon.ts';

export const diets = ['vegetarian', 'vegan', 'pescatarian', 'pork_free'] as const;
export type Diet = (typeof diets)[number];

export const meals = ['breakfast', 'lunch', 'dinner'] as const;
export type Meal = (typeof meals)[number];

const literals = <T extends string>(values: readonly T[]) => Type.Union(values.map((value) => Type.Literal(value)));

export const AllergenShape = literals(allergens);
export const DietShape = literals(diets);
export const MealShape = literals(meals);

/** `contains`: an ingredient line names it. `unknown`: it may be there. `free`: every line was read and none names it. */
export const AllergenStateShape = literals(['contains', 'unknown', 'free'] as const);
export type AllergenState = Static<typeof AllergenStateShape>;

/** `yes`: every line was read and fits. `no`: a line breaks it. `unknown`: neither can be said. */
export const DietStateShape = literals(['yes', 'no', 'unknown'] as const);
export type DietState = Static<typeof DietStateShape>;

export const RecipeShape = Type.Object(
  {
    recipe_id: Type.String({ minLength: 1 }),
    title: Type.String(),
    tags: Type.Array(Type.String(), { description: 'lower case, each once, in alphabetical order' }),
    meals: Type.Array(MealShape, { description: 'meals the recipe can be; empty for sauces, drinks and the like' }),
    ingredients: Type.Array(Type.String(), { description: 'canonical names, each once, in alphabetical order' }),
    ingredient_lines: Type.Integer({ minimum: 0 }),
    unread_lines: Type.Integer({ minimum: 0, description: 'lines that name no known ingredient' }),
    allergens: Type.Object(Object.fromEntries(allergens.map((a) => [a, AllergenStateShape])) as AllergenStates),
    diets: Type.Object(Object.fromEntries(diets.map((d) => [d, DietStateShape])) as DietStates),
    minutes: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], {
      description: 'prep plus cook; null unless both are known',
    }),
    minutes_at_least: Type.Integer({ minimum: 0, description: 'the part of prep and cook that is known' }),
    servings: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()]),
    cost_per_serving_usd: Type.Number({ minimum: 0, description: 'by the cost model of docs/planning.md' }),
  },
  { additionalProperties: false, $id: 'planning/recipe' },
);

type AllergenStates = Record<(typeof allergens)[number], typeof AllergenStateShape>;
type DietStates = Record<Diet, typeof DietStateShape>;

export type Recipe = Static<typeof RecipeShape>;

/** One entry of data/recipes.json, as it is in the file. */
export const SourceRecipeShape = Type.Object({
  id: Type.String({ minLength: 1 }),
  title: Type.String(),
  tags: Type.Array(Type.String()),
  ingredients: Type.Array(Type.String()),
  prep_minutes: Type.Union([Type.Number({ minimum: 0 }), Type.Null()]),
  cook_minutes: Type.Union([Type.Number({ minimum: 0 }), Type.Null()]),
  servings: Type.Union([Type.Number({ minimum: 1 }), Type.Null()]),
});
export type SourceRecipe = Static<typeof SourceRecipeShape>;
