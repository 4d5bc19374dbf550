// Tests of the quality report and of the recipes as they were at a time.
import { expect, test } from 'vitest';
import { planOf, requestWith, sampleCatalogue } from '#domain/planning/planning-samples.ts';
import { createCatalogueHistory } from './catalogue-history.ts';
import { createQualityTally, type QualityRow } from './quality.ts';

const row = (change: Partial<QualityRow>): QualityRow => ({
  householdId: 'h1',
  request: requestWith([{ kind: 'allergy', allergen: 'tree_nut' }]),
  reaction: null,
  finalPlan: null,
  editedSlots: [],
  differences: [],
  ...change,
});

test('reports what is known, what is missing, and what the targets break', () => {
  const tally = createQualityTally();
  tally.add(row({}), sampleCatalogue);
  tally.add(
    row({ householdId: 'h2', reaction: 'accepted', finalPlan: planOf(['rice-bowl'], ['nut-soup']) }),
    sampleCatalogue,
  );
  const unknown = requestWith([], { slots: [{ ...requestWith([]).slots[0]!, candidates: ['gone', 'rice-bowl'] }] });
  tally.add(
    row({
      request: unknown,
      reaction: 'edited',
      finalPlan: planOf(['beef-stew']),
      editedSlots: ['2026-01-05/dinner'],
      differences: [
        { path: 'pantry', request: 'a', joined: null },
        { path: 'pantry', request: 'b', joined: null },
      ],
    }),
    sampleCatalogue,
  );
  expect(tally.report()).toEqual({
    household_count: 2,
    row_count: 3,
    answered_ratio: 2 / 3,
    reactions: { accepted: 1, edited: 1, unknown: 1 },
    slot_count: 5,
    // The last plan names a recipe that was not on offer.
    target_count: 2,
    edited_slot_count: 1,
    differences: { pantry: 1 },
    unknown_candidate_count: 1,
    target_violations: { allergy: 1 },
  });
  expect(createQualityTally().report().answered_ratio).toBeNull();
});

test('the catalogue is that of the time', () => {
  const [first, second] = sampleCatalogue.listRecipes();
  const rowOf = (recipe: typeof first, valid_from: string, valid_to: string | null) => ({
    recipe_id: recipe!.recipe_id,
    title: recipe!.title,
    details: recipe!,
    valid_from,
    valid_to,
  });
  const catalogueAt = createCatalogueHistory([
    rowOf(first, '2026-01-01T00:00:00.000Z', '2026-02-01T00:00:00.000Z'),
    rowOf({ ...first!, minutes_at_least: 7 }, '2026-02-01T00:00:00.000Z', null),
    rowOf(second, '2026-02-01T00:00:00.000Z', null),
  ]);
  const minutesAt = (time: string) => catalogueAt(time).findRecipe(first!.recipe_id)?.recipe.minutes_at_least;
  expect(minutesAt('2025-12-31T23:59:59.999Z')).toBeUndefined();
  expect(minutesAt('2026-01-31T23:59:59.999999Z')).toBe(first!.minutes_at_least);
  expect(minutesAt('2026-02-01T00:00:00Z')).toBe(7);
  expect(catalogueAt('2026-01-15T00:00:00.000Z').findRecipe(second!.recipe_id)).toBeNull();
  expect(catalogueAt('2026-03-01T00:00:00.000Z')).toBe(catalogueAt('2026-04-01T00:00:00.000Z'));
});
