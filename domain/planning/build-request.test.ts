// Tests of requests: one way to build them, one way to write them, and the way through the temporal tables.

import { Value } from '@sinclair/typebox/value';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { buildPlanRequest, drawCandidates } from './build-request.ts';
import { serializePlanRequest, toCanonicalJson } from './canonical-json.ts';
import { arbitraryRequest } from './planning-arbitraries.ts';
import { sampleCatalogue as catalogue } from './planning-samples.ts';
import { type Constraint, type PlanRequest, PlanRequestShape } from './request-shape.ts';
import { createRandom } from './seeded-random.ts';
import { fromConstraintRow, fromPantryItemRow, toConstraintText, toPantryItemRow } from './temporal-rows.ts';

const seed = 20260105;

describe('requests', () => {
  test('are built equal from facts in any order, and serialize to equal bytes', () => {
    fc.assert(
      fc.property(arbitraryRequest, fc.string(), (request, text) => {
        const { request_version: _, ...parts } = request;
        const built = buildPlanRequest(parts);
        const shuffled = shuffleDeep(parts, text) as typeof parts;
        expect(serializePlanRequest(buildPlanRequest(shuffled))).toBe(serializePlanRequest(built));
        expect(Value.Check(PlanRequestShape, built)).toBe(true);
        expect(serializePlanRequest(JSON.parse(serializePlanRequest(built)))).toBe(serializePlanRequest(built));
      }),
      { seed },
    );
  });

  test('offer candidates of which enough are allowed, for the right meal, in an order that does not tell', () => {
    const wish = { date: '2026-01-05', meal: 'dinner' as const, servings: 2 };
    const constraints: Constraint[] = [{ kind: 'allergy', allergen: 'milk' }];
    const slot = drawCandidates(wish, constraints, {
      catalogue,
      random: createRandom('x'),
      config: { count: 3, minAllowed: 3 },
    });
    expect(slot.candidates).toEqual(['beef-stew', 'rice-bowl', 'rice-bowl-too']);
  });

  test('canonical JSON sorts keys, keeps lists and refuses what JSON cannot hold', () => {
    expect(toCanonicalJson({ b: [2, 1], a: { d: null, c: 'é"' } })).toBe('{"a":{"c":"é\\"","d":null},"b":[2,1]}');
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, undefined, 1n, { a: undefined }]) {
      expect(() => toCanonicalJson(value)).toThrow(TypeError);
    }
  });

  test('come back from temporal rows as they were', () => {
    fc.assert(
      fc.property(arbitraryRequest, ({ constraints, pantry }) => {
        const toRow = (value: Constraint) => ({ kind: value.kind, value: toConstraintText(value) });
        expect(constraints.map(toRow).map(fromConstraintRow)).toEqual(constraints);
        const rows = pantry.map((item) => toPantryItemRow('h', item, '2026-01-01T00:00:00.000Z'));
        expect(rows.map(fromPantryItemRow)).toEqual(pantry);
      }),
      { seed },
    );
  });
});

/** Reverses the keys of objects and the lists whose order means nothing. */
function shuffleDeep(parts: Omit<PlanRequest, 'request_version'>, text: string): object {
  const random = createRandom(text);
  const shuffled = <T>(list: readonly T[]) =>
    [...list]
      .map((value) => ({ value, at: random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ value }) => value);
  const entries = Object.entries({
    ...parts,
    pantry: shuffled(parts.pantry),
    constraints: shuffled(parts.constraints),
    slots: shuffled(parts.slots),
  });
  return Object.fromEntries(entries.reverse());
}
