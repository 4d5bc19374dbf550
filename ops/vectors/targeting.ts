// Vector files of targeting conditions: rows of [name, condition, attributes, expected, saved groups?].
import { compileCondition } from '#domain/targeting/compile-condition.ts';
import type { Condition, SavedGroups } from '#domain/targeting/condition.ts';
import { requireArray, requireObject } from './read-json.ts';
import { createVectorTally, type VectorKind } from './vector-kind.ts';

export const targetingVectors: VectorKind = {
  fileName: 'conditions.json',
  run(content) {
    const tally = createVectorTally();
    requireArray(content, 'the file').forEach((row, index) => {
      const [name, condition, attributes, expected, savedGroups = {}] = requireArray(row, `row ${index + 1}`);
      tally.attempt(`row ${index + 1}, ${String(name)}`, () => {
        const targeting = compileCondition(
          requireObject(condition, 'condition') as Condition,
          requireObject(savedGroups, 'saved groups') as SavedGroups,
        );
        return targeting(attributes) === expected || `expected ${String(expected)}`;
      });
    });
    return tally.report();
  },
};
