// Facets: the few yes/no properties by which a recipe is described to people, compared with another, and liked or not.

import type { Recipe } from './recipe-shape.ts';

export const recipeFacets = [
  'italian',
  'french',
  'asian',
  'indian',
  'latin_american',
  'mediterranean',
  'northern_european',
  'north_american',
  'red_meat',
  'poultry',
  'fish',
  'plant_based',
  'pasta',
  'rice',
  'potato',
  'soup',
  'cheesy',
  'spicy',
] as const;
export type RecipeFacet = (typeof recipeFacets)[number];

const facetByTag: ReadonlyMap<string, RecipeFacet> = new Map(
  (
    [
      ['italian', 'italian pizza'],
      ['french', 'french quebec belgian'],
      ['asian', 'asian chinese japanese thai vietnamese filipino uzbek'],
      ['indian', 'indian curry'],
      ['latin_american', 'mexican southwest brazilian peruvian argentinian dominican yucatecan tortilla'],
      [
        'mediterranean',
        'mediterranean greek spanish portuguese turkish lebanese tunisian palestinian israeli galician',
      ],
      [
        'northern_european',
        'russian ukrainian german austrian swiss irish english swedish danish dutch polish hungarian romanian',
      ],
      ['north_american', 'american southern cajun'],
      ['pasta', 'pasta noodles'],
      ['rice', 'rice'],
      ['potato', 'potato'],
      ['soup', 'soup stew'],
      ['cheesy', 'cheese'],
      ['spicy', 'spicy'],
    ] as const
  ).flatMap(([facet, tags]) => tags.split(' ').map((tag) => [tag, facet] as const)),
);

const facetByIngredient: ReadonlyMap<string, RecipeFacet> = new Map<string, RecipeFacet>([
  ['beef', 'red_meat'],
  ['veal', 'red_meat'],
  ['lamb', 'red_meat'],
  ['pork', 'red_meat'],
  ['bacon', 'red_meat'],
  ['ham', 'red_meat'],
  ['chorizo', 'red_meat'],
  ['meat', 'red_meat'],
  ['sausage', 'red_meat'],
  ['chicken', 'poultry'],
  ['turkey', 'poultry'],
  ['duck', 'poultry'],
  ['fish', 'fish'],
  ['salmon', 'fish'],
  ['tuna', 'fish'],
  ['anchovy', 'fish'],
  ['shrimp', 'fish'],
  ['crab', 'fish'],
  ['mussel', 'fish'],
  ['seafood', 'fish'],
  ['pasta', 'pasta'],
  ['egg noodle', 'pasta'],
  ['noodle', 'pasta'],
  ['rice', 'rice'],
  ['potato', 'potato'],
  ['cheese', 'cheesy'],
  ['feta', 'cheesy'],
  ['chili', 'spicy'],
  ['hot sauce', 'spicy'],
]);

/** Facets of a recipe, in the order of `recipeFacets`; empty when nothing is known about it. */
export function facetsOf(recipe: Recipe): RecipeFacet[] {
  const found = new Set<RecipeFacet>();
  for (const tag of recipe.tags) {
    const facet = facetByTag.get(tag);
    if (facet) found.add(facet);
  }
  for (const ingredient of recipe.ingredients) {
    const facet = facetByIngredient.get(ingredient);
    if (facet) found.add(facet);
  }
  if (recipe.diets.vegetarian === 'yes') found.add('plant_based');
  return recipeFacets.filter((facet) => found.has(facet));
}
