// What counts as a difference between the definitions and a Metabase.
import { expect, it } from 'vitest';
import { byKey, describeQuery, findDifferences } from './same.ts';

it('ignores what Metabase adds, and takes null for missing', () => {
  expect(findDifferences({ a: 1, b: null }, { a: 1, id: 7 })).toEqual([]);
  expect(findDifferences({ a: 1 }, { a: null })).toEqual(['a']);
  expect(findDifferences({ a: {} }, { a: null })).toEqual([]);
});

it('names every place that differs, also in lists', () => {
  expect(findDifferences({ a: { b: [1, { c: 2 }] }, d: 'x' }, { a: { b: [1, { c: 3 }] }, d: 'y' })).toEqual([
    'a.b.1.c',
    'd',
  ]);
  expect(findDifferences({ a: [1] }, { a: [1, 2] })).toEqual(['a']);
  expect(findDifferences({ a: [1] }, { a: '1' })).toEqual(['a']);
});

it('finds an additional key only where nothing may be added', () => {
  const found = { settings: { a: 1, more: 2 }, other: { b: 1, more: 2 } };
  expect(findDifferences({ settings: { a: 1 }, other: { b: 1 } }, found, { exact: ['settings'] })).toEqual([
    'settings.more',
  ]);
});

it('compares variables by name, whether they come as a list or as an object', () => {
  const query = (tags: unknown): object => ({
    'lib/type': 'mbql/query',
    database: 2,
    stages: [{ 'lib/type': 'mbql.stage/native', native: 'SELECT {{x}}', 'template-tags': tags }],
  });
  const tag = { id: '1', name: 'x', type: 'text' };
  expect(describeQuery(query([tag]))).toEqual(describeQuery(query({ x: tag })));
  expect(describeQuery({ database: 2, stages: [{}, {}] })).toBeNull();
  expect(describeQuery({})).toBeNull();
  expect(byKey([{ id: 'b' }, { id: 'a' }], 'id')).toEqual({ a: { id: 'a' }, b: { id: 'b' } });
});
