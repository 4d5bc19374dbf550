// The cache stays within its bound, keeps what is used, and forgets on demand.

import { expect, test } from 'vitest';
import { asVariantId } from '#domain/experiment/ids.ts';
import { createAssignmentCache } from './assignment-cache.ts';
import type { StoredRow } from './assignment-store.ts';

const storedOf = (unitId: string): StoredRow => ({
  experimentId: 'x',
  unitId,
  variantId: asVariantId('v'),
  bucket: 1,
  probability: 0.5,
  enrolmentShare: 1,
  experimentVersion: 1,
  source: 'hashed',
});

test('never holds more entries than its bound', () => {
  const cache = createAssignmentCache(10);
  for (let index = 0; index < 1_000; index += 1) {
    cache.keep(storedOf(`u${index}`));
    expect(cache.size()).toBeLessThanOrEqual(10);
  }
  expect(cache.find({ experimentId: 'x', unitId: 'u999' })).toEqual(storedOf('u999'));
  expect(cache.find({ experimentId: 'x', unitId: 'u0' })).toBeUndefined();
});

test('keeps an entry that is read often while others pass through', () => {
  const cache = createAssignmentCache(10);
  cache.keep(storedOf('hot'));
  for (let index = 0; index < 1_000; index += 1) {
    cache.keep(storedOf(`u${index}`));
    expect(cache.find({ experimentId: 'x', unitId: 'hot' })).toEqual(storedOf('hot'));
  }
});

test('forgets an entry of either generation', () => {
  const cache = createAssignmentCache(4);
  for (const unitId of ['a', 'b', 'c']) cache.keep(storedOf(unitId));
  for (const unitId of ['a', 'c']) cache.forget({ experimentId: 'x', unitId });
  expect(['a', 'b', 'c'].map((unitId) => cache.find({ experimentId: 'x', unitId })?.unitId)).toEqual([
    undefined,
    'b',
    undefined,
  ]);
});

test('forgets everything when asked to', () => {
  const cache = createAssignmentCache(4);
  for (const unitId of ['a', 'b', 'c']) cache.keep(storedOf(unitId));
  cache.clear();
  expect([cache.size(), cache.find({ experimentId: 'x', unitId: 'c' })]).toEqual([0, undefined]);
});
