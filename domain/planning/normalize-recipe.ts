// Turns an entry of data/recipes.json into a Recipe: ingredients, allergens, diets, meals, minutes and cost from its words.

import { allergens, ingredientGroups, type LexiconEntry, type Origin } from './ingredient-lexicon.ts';
import { type IngredientLine, parseIngredientLine } from './ingredient-line.ts';
import type { AllergenState, Diet, DietState, Meal, Recipe, SourceRecipe } from './recipe-shape.ts';
import { diets } from './recipe-shape.ts';

/** Tags that say: this is eaten with a meal or between meals, whatever other tags it has. */
const neverMealTags = asSet(
  'drink sauce dressing dough spice stock syrup jam dessert cookies cake pastry alcohol christmas',
);

/** Tags of the same kind that a tag of a main meal outweighs: a basic chicken recipe is a meal, a basic one is not. */
const sideTags = asSet('basic bread sourdough snack side spread sweet salad pate fruit easter fry milk southern');

const mainMealTags = asSet(
  'supper stew soup curry pizza roast traybake beef pork lamb chicken fish seafood turkey lunch pasta rice beans mediterranean',
);

const breakfastTags = asSet('breakfast pancake eggs');

const breaksDiet: Record<Diet, ReadonlySet<Origin>> = {
  vegan: new Set<Origin>(['meat', 'pork', 'unspecified_meat', 'fish', 'animal_product']),
  vegetarian: new Set<Origin>(['meat', 'pork', 'unspecified_meat', 'fish']),
  pescatarian: new Set<Origin>(['meat', 'pork', 'unspecified_meat']),
  pork_free: new Set<Origin>(['pork']),
};

const leavesDietUnknown: Record<Diet, ReadonlySet<Origin>> = {
  vegan: new Set<Origin>(['unknown']),
  vegetarian: new Set<Origin>(['unknown']),
  pescatarian: new Set<Origin>(['unknown']),
  pork_free: new Set<Origin>(['unknown', 'unspecified_meat']),
};

/** Normalizes one recipe. The same entry always gives the same recipe; nothing that the entry does not say is guessed. */
export function normalizeRecipe(source: SourceRecipe): Recipe {
  const tags = [...new Set(source.tags.map((tag) => tag.trim().toLowerCase()))].sort();
  const lines = source.ingredients.map(parseIngredientLine);
  const named = distinct(lines.flatMap((line) => line.named));
  const food = named.filter((entry) => entry.group !== 'not_food' && entry.group !== 'water');
  return {
    recipe_id: source.id,
    title: source.title.trim(),
    tags,
    meals: toMeals(tags),
    ingredients: food.map((entry) => entry.name).sort(),
    ingredient_lines: lines.length,
    unread_lines: lines.filter((line) => !line.recognized).length,
    allergens: toAllergenStates(lines),
    diets: toDietStates(lines),
    minutes:
      source.prep_minutes === null || source.cook_minutes === null
        ? null
        : Math.round(source.prep_minutes + source.cook_minutes),
    minutes_at_least: Math.round((source.prep_minutes ?? 0) + (source.cook_minutes ?? 0)),
    servings: source.servings === null ? null : Math.round(source.servings),
    cost_per_serving_usd: costPerServingUsd(food),
  };
}

/** Cost of one serving, in cents of a US dollar: the sum of the group prices of its distinct ingredients. */
export function costPerServingUsd(entries: readonly LexiconEntry[]): number {
  const cents = entries.reduce((sum, entry) => sum + Math.round(ingredientGroups[entry.group].usdPerServing * 100), 0);
  return cents / 100;
}

/** Judged by the tags alone, so a recipe with odd tags may be in the wrong place; a salad counts as a lunch or dinner unless it is basic. */
function toMeals(tags: readonly string[]): Meal[] {
  const carries = (group: ReadonlySet<string>) => tags.some((tag) => group.has(tag));
  if (carries(neverMealTags) && !tags.includes('breakfast')) return [];
  if (tags.includes('drink') || tags.includes('dessert')) return [];
  if (carries(breakfastTags)) return carries(mainMealTags) ? ['breakfast', 'lunch'] : ['breakfast'];
  if (carries(mainMealTags)) return ['lunch', 'dinner'];
  const isPlainSalad = tags.includes('salad') && !tags.includes('basic');
  return carries(sideTags) && !isPlainSalad ? [] : ['lunch', 'dinner'];
}

function toAllergenStates(lines: readonly IngredientLine[]): Recipe['allergens'] {
  const allRead = lines.length > 0 && lines.every((line) => line.recognized);
  const stateOf = (allergen: (typeof allergens)[number]): AllergenState => {
    if (lines.some((line) => line.named.some((entry) => entry.contains.includes(allergen)))) return 'contains';
    const mayBeThere = lines.some(
      (line) =>
        line.named.some((entry) => entry.mayContain.includes(allergen)) ||
        line.mentioned.some((entry) => entry.contains.includes(allergen) || entry.mayContain.includes(allergen)),
    );
    return mayBeThere || !allRead ? 'unknown' : 'free';
  };
  return Object.fromEntries(allergens.map((allergen) => [allergen, stateOf(allergen)])) as Recipe['allergens'];
}

function toDietStates(lines: readonly IngredientLine[]): Recipe['diets'] {
  const originsOf = (entries: readonly LexiconEntry[]) => entries.map((entry) => ingredientGroups[entry.group].origin);
  const allRead = lines.length > 0 && lines.every((line) => line.recognized);
  const named = new Set(originsOf(lines.flatMap((line) => line.named)));
  const mentioned = new Set(originsOf(lines.flatMap((line) => line.mentioned)));
  const stateOf = (diet: Diet): DietState => {
    const breaks = breaksDiet[diet];
    if (named.intersection(breaks).size > 0) return 'no';
    const open = named.intersection(leavesDietUnknown[diet]).size + mentioned.intersection(breaks).size;
    return open > 0 || !allRead ? 'unknown' : 'yes';
  };
  return Object.fromEntries(diets.map((diet) => [diet, stateOf(diet)])) as Recipe['diets'];
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

function asSet(words: string): ReadonlySet<string> {
  return new Set(words.split(' '));
}
