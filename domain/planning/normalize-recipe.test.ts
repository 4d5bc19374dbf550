// Tests of reading recipes: ingredient lines, allergens, diets, meals, minutes and cost; what is unknown stays unknown.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createCatalogueFromSource } from './catalogue.ts';
import { parseIngredientLine, toWords } from './ingredient-line.ts';
import { normalizeRecipe } from './normalize-recipe.ts';
import { facetsOf } from './recipe-facets.ts';
import { RecipeShape, type SourceRecipe, SourceRecipeShape } from './recipe-shape.ts';

const sources: SourceRecipe[] = JSON.parse(readFileSync(join(import.meta.dirname, '../../data/recipes.json'), 'utf8'));

function recipeOf(...ingredients: string[]) {
  return normalizeRecipe({
    id: 'test',
    title: 'Test',
    tags: ['Pasta', 'pasta'],
    ingredients,
    prep_minutes: 10,
    cook_minutes: null,
    servings: null,
  });
}

const namesIn = (line: string) => parseIngredientLine(line).named.map((entry) => entry.name);

describe('parseIngredientLine', () => {
  test.each([
    ['2-3 Cloves of garlic', ['clove', 'garlic']],
    ['3 tbsp peanut butter, smooth', ['peanut']],
    ['1 cup coconut milk', ['coconut']],
    ['Jalapeños, finely chopped', ['chili']],
    ['8 cups buckwheat flour', ['buckwheat']],
    ['1 butternut squash', ['zucchini']],
    ['2 tomatoes and 3 potatoes', ['tomato', 'potato']],
  ])('reads %j as %j', (line, names) => {
    expect(namesIn(line)).toEqual(names.map((name) => parseIngredientLine(name).named[0]?.name));
  });

  test('keeps what stands in parentheses apart, and sees that a line is optional', () => {
    const line = parseIngredientLine('1 egg (or almond milk) (optional)');
    expect(line.named.map((entry) => entry.name)).toEqual(['egg']);
    expect(line.mentioned.map((entry) => entry.name)).toEqual(['almond']);
    expect(line.optional).toBe(true);
  });

  test('says so when it knows no word of a line', () => {
    expect(parseIngredientLine('2 tbsp zorblax').recognized).toBe(false);
  });

  test('never fails, whatever the line', () => {
    fc.assert(
      fc.property(fc.uint16Array(), (units) => {
        const line = String.fromCharCode(...units);
        expect(parseIngredientLine(line).line).toBe(line);
        for (const word of toWords(line)) expect(word).toMatch(/^[a-z]+$/);
      }),
      { seed: 7 },
    );
  });
});

describe('normalizeRecipe', () => {
  test('finds allergens: contained, possible, and absent only when every line was read', () => {
    const { allergens } = recipeOf('200 g spaghetti', '1 stock cube', '2 carrots');
    expect(allergens).toMatchObject({ gluten: 'contains', egg: 'unknown', soy: 'unknown', tree_nut: 'free' });
    expect(recipeOf('2 carrots', '2 tbsp zorblax').allergens.tree_nut).toBe('unknown');
    expect(recipeOf('2 carrots (or walnuts)').allergens.tree_nut).toBe('unknown');
    expect(recipeOf().allergens.milk).toBe('unknown');
  });

  test('finds diets by the origin of the ingredients', () => {
    expect(recipeOf('carrots', 'rice').diets).toEqual({
      vegetarian: 'yes',
      vegan: 'yes',
      pescatarian: 'yes',
      pork_free: 'yes',
    });
    expect(recipeOf('salmon', 'cream').diets).toMatchObject({ vegetarian: 'no', vegan: 'no', pescatarian: 'yes' });
    expect(recipeOf('bacon').diets).toMatchObject({ pescatarian: 'no', pork_free: 'no' });
    expect(recipeOf('sausages').diets).toMatchObject({ vegetarian: 'no', pork_free: 'unknown' });
    expect(recipeOf('carrots', '1 l broth').diets.vegetarian).toBe('unknown');
    expect(recipeOf('carrots', 'zorblax').diets.vegan).toBe('unknown');
  });

  test('adds minutes only when both are known, and keeps the known part', () => {
    expect(recipeOf('rice')).toMatchObject({ minutes: null, minutes_at_least: 10, servings: null });
  });

  test('sums the cost model over distinct ingredients', () => {
    // beef 2.20 + onion 0.35, water and pots cost nothing
    expect(recipeOf('beef', 'ground beef', '2 onions', 'water', 'tin foil').cost_per_serving_usd).toBe(2.55);
  });

  test('gives lower-case tags once and facets from tags and ingredients', () => {
    const recipe = recipeOf('chicken', 'chili', 'cheddar');
    expect(recipe.tags).toEqual(['pasta']);
    expect(facetsOf(recipe)).toEqual(['poultry', 'pasta', 'cheesy', 'spicy']);
  });
});

describe('the committed recipes', () => {
  const catalogue = createCatalogueFromSource(sources);

  test('have the documented shape, before and after', () => {
    for (const source of sources) expect([...Value.Errors(SourceRecipeShape, source)]).toEqual([]);
    for (const recipe of catalogue.listRecipes()) expect([...Value.Errors(RecipeShape, recipe)]).toEqual([]);
  });

  test('can nearly all be read: at least 98 % of their lines', () => {
    const recipes = catalogue.listRecipes();
    const lines = recipes.reduce((sum, recipe) => sum + recipe.ingredient_lines, 0);
    const unread = recipes.reduce((sum, recipe) => sum + recipe.unread_lines, 0);
    expect(unread / lines).toBeLessThan(0.02);
  });

  test.each([
    ['carbonara', { egg: 'contains', gluten: 'contains', milk: 'contains', peanut: 'free' }],
    ['chicken-satay', { peanut: 'contains', shellfish: 'contains' }],
    ['ceviche', { shellfish: 'contains' }],
    ['tofu-and-cashew-chow-mein', { soy: 'contains', tree_nut: 'contains', gluten: 'contains' }],
    ['hummus', { sesame: 'contains' }],
  ])('%s has the allergens that a person reads in it', (recipeId, expected) => {
    expect(catalogue.findRecipe(recipeId)?.recipe.allergens).toMatchObject(expected);
  });

  test.each([
    ['carbonara', ['lunch', 'dinner']],
    ['granola', ['breakfast']],
    ['omelet', ['breakfast']],
    ['gluehwein', []],
    ['ketchup', []],
    ['apple-pie', []],
  ])('%s can be %j', (recipeId, meals) => {
    expect(catalogue.findRecipe(recipeId)?.recipe.meals).toEqual(meals);
  });
});
