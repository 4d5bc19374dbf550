// The recipes a planner can choose from, looked up by id, with their facets worked out once.

import { normalizeRecipe } from './normalize-recipe.ts';
import { facetsOf, type RecipeFacet } from './recipe-facets.ts';
import type { Meal, Recipe, SourceRecipe } from './recipe-shape.ts';

export type CatalogueRecipe = { readonly recipe: Recipe; readonly facets: ReadonlySet<RecipeFacet> };

export type Catalogue = {
  /** The recipe, or null for an id that the catalogue does not have. */
  readonly findRecipe: (recipeId: string) => CatalogueRecipe | null;
  /** Recipes that can be this meal, in order of id. */
  readonly listForMeal: (meal: Meal) => readonly CatalogueRecipe[];
  /** All recipes, in order of id. */
  readonly listRecipes: () => readonly Recipe[];
};

/** Builds a catalogue; the order of the input does not matter, two recipes with one id are an error. */
export function createCatalogue(recipes: readonly Recipe[]): Catalogue {
  const entries = [...recipes]
    .sort((a, b) => compareText(a.recipe_id, b.recipe_id))
    .map((recipe): CatalogueRecipe => ({ recipe, facets: new Set(facetsOf(recipe)) }));
  const byId = new Map(entries.map((entry) => [entry.recipe.recipe_id, entry]));
  if (byId.size !== entries.length) throw new Error('the catalogue has two recipes with the same recipe_id');
  const byMeal = Map.groupBy(
    entries.flatMap((entry) => entry.recipe.meals.map((meal) => ({ meal, entry }))),
    ({ meal }) => meal,
  );
  return {
    findRecipe: (recipeId) => byId.get(recipeId) ?? null,
    listForMeal: (meal) => byMeal.get(meal)?.map(({ entry }) => entry) ?? [],
    listRecipes: () => entries.map((entry) => entry.recipe),
  };
}

/** Builds a catalogue from the entries of data/recipes.json. */
export function createCatalogueFromSource(sources: readonly SourceRecipe[]): Catalogue {
  return createCatalogue(sources.map(normalizeRecipe));
}

/** Code unit order: the same on every machine, unlike a locale's. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
