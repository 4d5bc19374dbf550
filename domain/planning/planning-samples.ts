// A small catalogue, request and plans whose scores and violations can be worked out by hand, for tests.

import { createCatalogue } from './catalogue.ts';
import { normalizeRecipe } from './normalize-recipe.ts';
import type { Plan } from './plan-shape.ts';
import type { Constraint, PlanRequest } from './request-shape.ts';

export function sampleRecipe(id: string, ingredients: string[], extra: { tags?: string[]; minutes?: number } = {}) {
  return normalizeRecipe({
    id,
    title: id,
    tags: extra.tags ?? ['soup'],
    ingredients,
    prep_minutes: 0,
    cook_minutes: extra.minutes ?? 20,
    servings: 2,
  });
}

export const sampleCatalogue = createCatalogue([
  sampleRecipe('beef-stew', ['beef', 'onion', 'potato'], { minutes: 90 }),
  sampleRecipe('nut-soup', ['walnuts', 'milk']),
  sampleRecipe('rice-bowl', ['rice', 'spinach'], { tags: ['rice', 'asian'] }),
  sampleRecipe('rice-bowl-too', ['rice', 'spinach'], { tags: ['rice', 'asian'] }),
]);

// 2026-01-05 is a Monday.
/** A request for two Monday and Tuesday dinners. */
export function requestWith(constraints: Constraint[], extra: Partial<PlanRequest> = {}): PlanRequest {
  const candidates = ['beef-stew', 'nut-soup', 'rice-bowl'];
  return {
    request_version: 1,
    workflow_type: 'weekly_plan',
    mode: 'standard',
    requested_at: '2026-01-04T10:00:00.000Z',
    household: {
      household_id: '11111111-1111-4111-8111-111111111111',
      members: [{ age_group: 'adult' }, { age_group: 'child' }],
      region: 'asia',
      cooking_skill: 'regular',
      preferred_facets: [],
    },
    pantry: [],
    constraints,
    slots: [
      { slot_id: '2026-01-05/dinner', date: '2026-01-05', meal: 'dinner', servings: 2, candidates },
      { slot_id: '2026-01-06/dinner', date: '2026-01-06', meal: 'dinner', servings: 2, candidates },
    ],
    previous_plan: null,
    ...extra,
  };
}

/** A plan with these recipes on the days from 2026-01-05 on, for two people unless said otherwise. */
export function planOf(...slots: [recipeId: string, servings?: number][]): Plan {
  return {
    plan_version: 1,
    slots: slots.map(([recipe_id, servings = 2], index) => ({
      slot_id: `2026-01-0${index + 5}/dinner`,
      date: `2026-01-0${index + 5}`,
      meal: 'dinner',
      recipe_id,
      servings,
    })),
  };
}
