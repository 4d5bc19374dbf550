// Tests of targeting beyond the reference vectors, which ops/vectors runs: nothing that a client sends makes it throw.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileCondition } from './compile-condition.ts';
import type { Condition } from './condition.ts';
import { operators } from './operators.ts';

const holds = (condition: Condition, attributes: unknown): boolean => compileCondition(condition)(attributes);

test('the empty condition holds for everybody', () => {
  expect(holds({}, {})).toBe(true);
  expect(holds({}, undefined)).toBe(true);
});

test('all clauses and all operators of an attribute must hold', () => {
  const condition = { country: { $in: ['NO', 'SE'] }, age: { $gte: 18, $lt: 30 } };
  expect(holds(condition, { country: 'NO', age: 18 })).toBe(true);
  expect(holds(condition, { country: 'NO', age: 30 })).toBe(false);
  expect(holds(condition, { country: 'DK', age: 18 })).toBe(false);
});

test('paths with dots read nested attributes, and only those that the client sent', () => {
  expect(holds({ 'household.size': { $gte: 2 } }, { household: { size: 2 } })).toBe(true);
  expect(holds({ constructor: { $exists: true } }, {})).toBe(false);
  expect(holds({ 'household.toString': { $exists: true } }, { household: {} })).toBe(false);
  expect(holds({ toString: { $exists: true } }, { toString: 'sent' })).toBe(true);
});

describe('versions', () => {
  test.each([
    ['1.2.10', '$vgt', '1.2.9'],
    ['1.2.0', '$vgt', '1.2.0-rc.1'],
    ['v2.0.0', '$veq', '2.0.0'],
    ['1.0.0', '$vlt', '10.0.0'],
  ])('%s %s %s', (actual, operator, expected) => {
    expect(holds({ version: { [operator]: expected } }, { version: actual })).toBe(true);
  });
});

test('an operator that does not exist never holds, negated by nothing but $not', () => {
  expect(holds({ age: { $above: 3 } }, { age: 5 })).toBe(false);
  expect(holds({ age: { $not: { $above: 3 } } }, { age: 5 })).toBe(true);
});

test('nothing that a client or an author writes makes it throw, and the answer is always the same', () => {
  const argument = fc.jsonValue({ maxDepth: 3 });
  const clause = fc.oneof(
    argument,
    fc.dictionary(fc.constantFrom(...Object.keys(operators)), argument, { maxKeys: 3 }),
  );
  const condition = fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom('$and', '$or', '$nor', '$not', 'a', 'a.b', '__proto__')),
    fc.oneof(clause, fc.array(clause, { maxLength: 3 })),
    { maxKeys: 3 },
  );
  const attributes = fc.oneof(
    fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
    fc.dictionary(fc.constantFrom('a', 'b'), fc.anything()),
  );
  fc.assert(
    fc.property(condition, attributes, (written, sent) => {
      const compiled = compileCondition(written as Condition);
      const first = compiled(sent);
      expect(typeof first).toBe('boolean');
      expect(compiled(sent)).toBe(first);
    }),
    { numRuns: 2_000, seed: 4 },
  );
});
