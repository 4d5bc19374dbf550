// Hidden tastes: what a simulated household likes. No planner sees them; they show only in what is accepted and what is replaced.

import type { CatalogueRecipe } from '#domain/planning/catalogue.ts';
import { type RecipeFacet, recipeFacets } from '#domain/planning/recipe-facets.ts';
import type { CookingSkill, Region } from '#domain/planning/request-shape.ts';
import { drawNormal, type Random } from '#domain/planning/seeded-random.ts';

/** Utility of a recipe = Σ weight of its facets + perHour × hours of work. Weights are about −2..2. */
export type Taste = {
  readonly weights: Readonly<Record<RecipeFacet, number>>;
  readonly perHour: number;
};

/** Where tastes come from: what everybody shares, what region and children explain, and what is a household's own. */
export type TasteCauses = {
  readonly region: Region;
  readonly hasChildren: boolean;
  readonly cookingSkill: CookingSkill;
};

const sharedTaste: Partial<Record<RecipeFacet, number>> = { cheesy: 0.4, pasta: 0.3, fish: -0.4, potato: 0.2 };

const tasteOfRegion: Readonly<Record<Region, Partial<Record<RecipeFacet, number>>>> = {
  southern_europe: { mediterranean: 1.2, italian: 1, fish: 0.7, potato: -0.6, spicy: -0.4 },
  northern_europe: { northern_european: 1.2, potato: 0.9, french: 0.6, asian: -0.5, spicy: -0.8 },
  north_america: { north_american: 1.1, red_meat: 0.7, cheesy: 0.6, latin_american: 0.4, fish: -0.6 },
  latin_america: { latin_american: 1.3, spicy: 0.7, rice: 0.7, northern_european: -0.7, poultry: 0.4 },
  asia: { asian: 1.3, indian: 0.8, rice: 0.9, spicy: 0.5, cheesy: -1.1, potato: -0.4 },
};

const tasteOfChildren: Partial<Record<RecipeFacet, number>> = {
  spicy: -1.2,
  pasta: 0.8,
  soup: -0.5,
  fish: -0.4,
  poultry: 0.4,
};

const perHourBySkill: Readonly<Record<CookingSkill, number>> = { beginner: -1.2, regular: -0.5, keen: 0.2 };

/** Spread of what is a household's own: smaller than what its visible attributes explain, so that a model can learn tastes. */
const ownSpread = 0.45;

export function drawTaste(causes: TasteCauses, random: Random): Taste {
  const weights = Object.fromEntries(
    recipeFacets.map((facet) => {
      const explained =
        (sharedTaste[facet] ?? 0) +
        (tasteOfRegion[causes.region][facet] ?? 0) +
        (causes.hasChildren ? (tasteOfChildren[facet] ?? 0) : 0);
      return [facet, explained + ownSpread * drawNormal(random)];
    }),
  ) as Record<RecipeFacet, number>;
  return { weights, perHour: perHourBySkill[causes.cookingSkill] + 0.2 * drawNormal(random) };
}

/** How much the household likes the recipe; unknown minutes count as the part that is known. */
export function utilityOf({ recipe, facets }: CatalogueRecipe, taste: Taste): number {
  let sum = (taste.perHour * Math.min(recipe.minutes_at_least, 120)) / 60;
  for (const facet of facets) sum += taste.weights[facet];
  return sum;
}

/** What a household says about itself: up to two of its five dearest facets, so true but incomplete; some say nothing. */
export function drawStatedPreferences(taste: Taste, random: Random): RecipeFacet[] {
  const dearest = [...recipeFacets].sort((a, b) => taste.weights[b] - taste.weights[a]).slice(0, 5);
  const stated = Math.floor(random() * 3);
  return dearest
    .map((facet) => ({ facet, order: random() }))
    .sort((a, b) => a.order - b.order)
    .slice(0, stated)
    .map(({ facet }) => facet)
    .sort();
}
