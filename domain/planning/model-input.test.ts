// Tests of what a model reads: the words by hand, and the same bytes wherever the request has been in between.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { serializePlanRequest } from './canonical-json.ts';
import { serializeModelInput, toModelInput } from './model-input.ts';
import { arbitraryRequest } from './planning-arbitraries.ts';
import { requestWith, sampleCatalogue } from './planning-samples.ts';
import type { PlanRequest } from './request-shape.ts';

describe('toModelInput', () => {
  test('tells household, mode and edits, and for each candidate fit, time, facets and what it breaks', () => {
    const request = requestWith([{ kind: 'allergy', allergen: 'tree_nut' }], {
      mode: 'leftovers',
      pantry: [{ ingredient: 'rice', use_by: null }],
      previous_plan: {
        plan_id: '00000000-0000-4000-8000-000000000001',
        outcome: 'edited',
        slots: [{ slot_id: '2025-12-29/dinner', recipe_id: 'rice-bowl', replaced_recipe_id: 'beef-stew' }],
      },
    });
    const input = toModelInput(request, sampleCatalogue);
    expect(input.context).toBe(
      'region:asia skill:regular with_children mode:leftovers took:asian took:plant_based took:rice left:red_meat left:potato left:soup',
    );
    expect(input.slots.map(({ slot_id }) => slot_id)).toEqual(request.slots.map(({ slot_id }) => slot_id));
    expect(input.slots[0]?.candidates).toEqual([
      { recipe_id: 'beef-stew', text: 'fit:0 minutes:90 red_meat potato soup beef-stew', allowed: true },
      { recipe_id: 'nut-soup', text: 'breaks minutes:15 plant_based soup nut-soup', allowed: false },
      { recipe_id: 'rice-bowl', text: 'fit:3 again minutes:15 asian plant_based rice rice-bowl', allowed: true },
    ]);
  });

  test('keeps an unknown recipe in the list, and allows nobody to take it', () => {
    const request = requestWith([]);
    const slots = request.slots.map((slot) => ({ ...slot, candidates: ['no-such-recipe'] }));
    expect(toModelInput({ ...request, slots }, sampleCatalogue).slots[0]?.candidates).toEqual([
      { recipe_id: 'no-such-recipe', text: 'breaks no-such-recipe', allowed: false },
    ]);
  });

  test('gives the same bytes from the request and from its snapshot', () => {
    fc.assert(
      fc.property(arbitraryRequest, (request) => {
        const snapshot = JSON.parse(serializePlanRequest(request)) as PlanRequest;
        expect(serializeModelInput(toModelInput(snapshot, sampleCatalogue))).toBe(
          serializeModelInput(toModelInput(request, sampleCatalogue)),
        );
      }),
      { seed: 20260107, numRuns: 50 },
    );
  });
});
