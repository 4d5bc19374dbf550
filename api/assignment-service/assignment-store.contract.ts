// What every assignment store promises; run against the fake and against Postgres.
import { expect, test } from 'vitest';
import { asVariantId, type VariantId } from '#domain/experiment/ids.ts';
import type { AssignmentCandidate, AssignmentStore } from './assignment-store.ts';

/** An experiment with two variants that the store can refer to. */
export type StoreSubject = { store: AssignmentStore; experimentId: string; variants: readonly [string, string] };

export function describeAssignmentStoreContract(getSubject: () => StoreSubject): void {
  const candidateOf = (unitId: string, variant: 0 | 1 = 0): AssignmentCandidate => ({
    experimentId: getSubject().experimentId,
    unitId,
    unitType: 'user',
    variantId: variantIdOf(variant),
    bucket: 42,
    experimentVersion: 3,
    probability: 0.25,
    enrolmentShare: 0.125,
    source: 'hashed',
  });
  const variantIdOf = (variant: 0 | 1): VariantId => asVariantId(getSubject().variants[variant]);

  test('stores what is new and answers what is stored, in the order of the candidates', async () => {
    const { store, experimentId } = getSubject();
    const stored = {
      experimentId,
      unitId: 'order-b',
      variantId: variantIdOf(0),
      bucket: 42,
      experimentVersion: 3,
      probability: 0.25,
      enrolmentShare: 0.125,
      source: 'hashed',
    };
    expect(await store.storeFirst([candidateOf('order-b')])).toEqual([{ stored, isNew: true }]);
    const results = await store.storeFirst([
      candidateOf('order-c', 1),
      candidateOf('order-b', 1),
      candidateOf('order-a', 1),
    ]);
    expect(results.map(({ stored: row, isNew }) => [row.unitId, row.variantId, isNew])).toEqual([
      ['order-c', variantIdOf(1), true],
      ['order-b', variantIdOf(0), false],
      ['order-a', variantIdOf(1), true],
    ]);
    expect(await store.find(['order-a', 'nobody', 'order-b'].map((unitId) => ({ experimentId, unitId })))).toEqual([
      { ...stored, unitId: 'order-a', variantId: variantIdOf(1) },
      null,
      stored,
    ]);
  });

  test('of two candidates for one unit the first one counts', async () => {
    const results = await getSubject().store.storeFirst([candidateOf('twice', 1), candidateOf('twice', 0)]);
    expect(results.map(({ stored, isNew }) => [stored.variantId, isNew])).toEqual([
      [variantIdOf(1), true],
      [variantIdOf(1), false],
    ]);
  });

  test('concurrent writers with opposite orders and other wishes all get the same rows', async () => {
    const { store } = getSubject();
    const units = Array.from({ length: 200 }, (_, index) => `raced-${index}`);
    const calls = Array.from({ length: 8 }, (_, writer) => {
      const candidates = units.map((unitId) => candidateOf(unitId, (writer % 2) as 0 | 1));
      return store.storeFirst(writer % 3 === 0 ? candidates.reverse() : candidates);
    });
    const answers = (await Promise.all(calls)).map(
      (results) => new Map(results.map(({ stored }) => [stored.unitId, stored.variantId])),
    );
    for (const answer of answers) for (const unit of units) expect(answer.get(unit)).toBe(answers[0]!.get(unit));
    const newRows = (await Promise.all(calls)).flat().filter(({ isNew }) => isNew);
    expect(newRows).toHaveLength(units.length);
  });

  test('nothing to do is no work', async () => {
    expect(await getSubject().store.storeFirst([])).toEqual([]);
    expect(await getSubject().store.find([])).toEqual([]);
  });
}
