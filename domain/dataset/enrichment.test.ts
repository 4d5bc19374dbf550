// Tests of the comparison of joined domain rows with request snapshots.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arbitraryRequest } from '#domain/planning/planning-arbitraries.ts';
import type { PlanRequest } from '#domain/planning/request-shape.ts';
import { toConstraintText, toPantryItemRow } from '#domain/planning/temporal-rows.ts';
import { sampleGeneratedPayload } from './dataset-samples.ts';
import { type Enrichment, findEnrichmentDifferences } from './enrichment.ts';

const seed = 20260107;
const since = '2026-01-01T00:00:00.000Z';
const { request } = sampleGeneratedPayload('00000000-0000-4000-8000-000000000001');

/** The rows from which serving would have built the request. */
function rowsOf({ household, pantry, constraints, slots }: PlanRequest): Enrichment {
  const { household_id, ...attributes } = household;
  return {
    household: { members: household.members.length, attributes, valid_from: since },
    pantry: pantry.map((item) => toPantryItemRow(household_id, item, since)),
    constraints: constraints.map((value) => ({ kind: value.kind, value: toConstraintText(value), valid_from: since })),
    recipes: [...new Set(slots.flatMap((slot) => slot.candidates))].map((recipe_id) => ({
      recipe_id,
      title: recipe_id,
      valid_from: since,
    })),
  };
}

describe('findEnrichmentDifferences', () => {
  test('finds none between a request and the rows it was built from, in any order', () => {
    fc.assert(
      fc.property(arbitraryRequest, (drawn) => {
        const rows = rowsOf(drawn);
        const reversed = {
          ...rows,
          pantry: rows.pantry.toReversed(),
          constraints: rows.constraints.toReversed(),
          recipes: rows.recipes.toReversed(),
        };
        expect(findEnrichmentDifferences(drawn, reversed)).toEqual([]);
      }),
      { seed },
    );
  });

  test('says what each side has and the other has not', () => {
    const rows = rowsOf(request);
    const changed: Enrichment = {
      household: {
        members: 3,
        attributes: { ...rows.household?.attributes, region: 'north_america' },
        valid_from: since,
      },
      pantry: [{ item: 'onion', valid_from: since, valid_to: null }],
      constraints: [{ kind: 'budget', value: 'not a number', valid_from: since }],
      recipes: rows.recipes.slice(1),
    };
    expect(findEnrichmentDifferences(request, changed)).toEqual([
      { path: 'constraints', request: { kind: 'budget', value: '12.5' }, joined: null },
      { path: 'constraints', request: null, joined: { kind: 'budget', value: 'not a number' } },
      { path: 'household.member_count', request: 2, joined: 3 },
      { path: 'household.region', request: 'asia', joined: 'north_america' },
      { path: 'pantry', request: { ingredient: 'spinach', use_by: '2026-01-06' }, joined: null },
      { path: 'pantry', request: null, joined: { ingredient: 'onion', use_by: null } },
      { path: 'recipes', request: 'beef-stew', joined: null },
    ]);
  });

  test('reports a household without rows as missing', () => {
    const rows = { ...rowsOf(request), household: null };
    expect(findEnrichmentDifferences(request, rows)).toEqual([
      { path: 'household', request: request.household, joined: null },
    ]);
  });
});
