// Ids made in the client are those of the domain.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { idOfName } from '../../domain/assignment/deterministic-ids.ts';
import vectors from '../../domain/assignment/vectors.json' with { type: 'json' };
import { uuidOfName } from './uuid-v5.ts';

test('the published ids', () => {
  for (const [name, uuid] of vectors.id.rows) expect(uuidOfName(String(name))).toBe(uuid);
});

test('names of any length and script have the id that the service gives them', () => {
  const names = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.string({ minLength: 30, maxLength: 300 }));
  fc.assert(
    fc.property(names, (name) => uuidOfName(name) === idOfName(name)),
    { seed: 1, numRuns: 2_000 },
  );
});
