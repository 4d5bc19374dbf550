// Tests that ids depend on nothing but the names they are made from.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { asExperimentKey } from '#domain/experiment/ids.ts';
import { experimentIdOf, idOfName, policyIdOf, policyVersionIdOf, variantIdOf } from './deterministic-ids.ts';

// Read as a file: the loader of the test runner refuses JSON with unpaired surrogates.
const vectors = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url), 'utf8')) as {
  id: { rows: string[][] };
};

const expectedIds = new Map(vectors.id.rows.map((row) => [row[0], row[1]]));

test('each kind of id is the UUIDv5 of its documented name', () => {
  const experimentId = experimentIdOf(asExperimentKey('café-menü'), 7);
  expect(experimentId).toBe(expectedIds.get('experiment/café-menü/7'));
  expect(variantIdOf(experimentId, 'trägt')).toBe(expectedIds.get(`variant/${experimentId}/trägt`));
  expect(policyIdOf('planner-lora')).toBe(expectedIds.get('policy/planner-lora'));
  expect(policyVersionIdOf('planner-lora', 12)).toBe(expectedIds.get('policy-version/planner-lora@12'));
});

test('every id vector holds', () => {
  expect(expectedIds.size).toBeGreaterThan(10);
  for (const [name, id] of expectedIds) expect(idOfName(name!)).toBe(id);
});

test('an iteration or version that is no positive integer has no id', () => {
  expect(() => experimentIdOf(asExperimentKey('a'), 0)).toThrow('positive integer');
  expect(() => policyVersionIdOf('a', 1.5)).toThrow('positive integer');
});
