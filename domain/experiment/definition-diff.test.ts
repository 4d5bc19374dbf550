// Tests that a difference of definitions names exactly what changed.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { diffDefinitions } from './definition-diff.ts';

test('names each changed value by its path, with what it was and is', () => {
  const before = { coverage: 5, variants: [{ name: 'a', config: { n: 1, old: true } }], owner: null };
  const after = { coverage: 5, variants: [{ name: 'a', config: { n: 2 } }, { name: 'b' }], owner: 'web', layer: [1] };
  expect(diffDefinitions(before, after)).toEqual([
    { path: 'variants[0].config.n', before: 1, after: 2 },
    { path: 'variants[0].config.old', before: true },
    { path: 'variants[1]', after: { name: 'b' } },
    { path: 'owner', before: null, after: 'web' },
    { path: 'layer', after: [1] },
  ]);
});

test('a value of another kind is one change', () => {
  expect(diffDefinitions({ a: [1] }, { a: { 0: 1 } })).toEqual([{ path: 'a', before: [1], after: { 0: 1 } }]);
  expect(diffDefinitions({ a: null }, { a: {} })).toEqual([{ path: 'a', before: null, after: {} }]);
});

test('equal values have no difference, in whatever order their keys are, and different ones have one', () => {
  const reversed = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(reversed);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, inner]) => [key, reversed(inner)]),
    );
  };
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
      expect(diffDefinitions(one, reversed(one))).toEqual([]);
      const isEqual = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
      expect(diffDefinitions(one, other).length === 0).toBe(isEqual);
    }),
    { seed: 4 },
  );
});

function sorted(value: unknown): unknown {
  if (Object.is(value, -0)) return '-0';
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
