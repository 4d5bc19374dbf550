// Tests that authors are told what in a condition could never work, and where.
import { expect, test } from 'vitest';
import { validateCondition } from './validate-condition.ts';

test.each([
  [{}],
  [{ country: 'NO', 'household.size': { $gte: 2 } }],
  [{ $or: [{ country: { $in: ['NO'] } }, { $not: { age: { $lt: 18 } } }] }],
  [{ tags: { $elemMatch: { $eq: 'a' } }, list: { $size: { $gt: 1 } }, version: { $vgte: '1.2.0' } }],
  [{ plan: { kind: 'family' }, name: { $regex: '^a+b*$' } }],
])('%o can be stored', (condition) => {
  expect(validateCondition(condition)).toEqual([]);
});

test.each<[unknown, string, string]>([
  [[], '', 'must be an object'],
  ['NO', '', 'must be an object'],
  [{ age: { $above: 3 } }, 'age.$above', 'unknown operator'],
  [{ age: { $gt: 3, years: 2 } }, 'age', 'operators and plain keys are mixed'],
  [{ $gt: 3 }, '$gt', 'other operators belong below an attribute'],
  [{ $or: [] }, '$or', 'at least one condition'],
  [{ $and: { a: 1 } }, '$and', 'at least one condition'],
  [{ $or: [{ a: 1 }, { b: { $in: 'NO' } }] }, '$or[1].b.$in', '$in needs a list'],
  [{ country: { $in: [] } }, 'country.$in', 'at least one value'],
  [{ name: { $regex: '(' } }, 'name.$regex', 'Invalid regular expression'],
  [{ name: { $regex: '(a+)+' } }, 'name.$regex', 'could take very long'],
  [{ name: { $regex: 'a'.repeat(1_001) } }, 'name.$regex', 'at most 1000 characters'],
  [{ version: { $vgt: 'new' } }, 'version.$vgt', 'needs a version'],
  [{ age: { $exists: 'yes' } }, 'age.$exists', 'needs true or false'],
  [{ age: { $type: 'integer' } }, 'age.$type', 'needs one of'],
  [{ age: { $gt: null } }, 'age.$gt', 'needs a number or a text'],
  [{ age: { $eq: { a: 1 } } }, 'age.$eq', 'needs a text, number, boolean or null'],
  [{ 'a..b': 1 }, 'a..b', 'no empty part'],
])('%o is refused at %s', (condition, path, message) => {
  expect(validateCondition(condition)).toContainEqual({ path, message: expect.stringContaining(message) });
});

test('every problem is told, not only the first', () => {
  const problems = validateCondition({ a: { $above: 1 }, b: { $in: 2 } });
  expect(problems.map(({ path }) => path)).toEqual(['a.$above', 'b.$in']);
});

test('conditions are nested so far and no further', () => {
  let condition: object = { a: 1 };
  for (let depth = 0; depth < 30; depth += 1) condition = { $not: condition };
  expect(validateCondition(condition)).toEqual([
    { path: expect.any(String), message: 'conditions may be nested at most 20 deep' },
  ]);
});

test('groups must exist where they are known', () => {
  const condition = { id: { $inGroup: 'testers' } };
  expect(validateCondition(condition, { savedGroupIds: new Set(['testers']) })).toEqual([]);
  expect(validateCondition(condition, { savedGroupIds: new Set() })).toEqual([
    { path: 'id.$inGroup', message: 'there is no saved group testers' },
  ]);
});
