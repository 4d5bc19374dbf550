// Checks that Postgres reads back exactly the values that the binary arrays were made from.
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  dateArray,
  float8Array,
  int4Array,
  int8Array,
  textArray,
  timestampArray,
  uuidArray,
} from '#platform/postgres/binary-arrays.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

async function readBack(type: string, array: Buffer): Promise<unknown> {
  const { rows } = await database.pool.query(`SELECT to_jsonb($1::${type}[]) AS value`, [array]);
  return rows[0].value;
}

it('hold numbers exactly, to the ends of their range', async () => {
  const doubles = [0, 5e-324, 0.1, -1.7976931348623157e308, 123456.789];
  expect(await readBack('float8', float8Array(doubles))).toEqual(doubles);
  expect(await readBack('int4', int4Array([0, -1, 2147483647, -2147483648]))).toEqual([0, -1, 2147483647, -2147483648]);
  const long = [0, -1, 4294967296, -4294967297, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
  expect(await readBack('int8', int8Array(long))).toEqual(long);
});

it('hold text of any script and with any punctuation', async () => {
  const texts = ['', 'plain', 'quote " comma , brace { } backslash \\', 'NULL', 'ünï✓😀', 'line\nbreak'];
  expect(await readBack('text', textArray(texts))).toEqual(texts);
  expect(await readBack('uuid', uuidArray(['0b54d7a5-21f3-5c3e-8f37-5d1f2f9f8a01']))).toEqual([
    '0b54d7a5-21f3-5c3e-8f37-5d1f2f9f8a01',
  ]);
});

it('hold instants to the millisecond and the UTC day they belong to, before 2000 and at midnight too', async () => {
  const texts = ['1999-12-31T23:59:59.999+00:00', '2026-01-15T00:00:00+00:00', '2026-01-14T23:59:59.999+00:00'];
  const times = texts.map((text) => Date.parse(text));
  expect(await readBack('timestamptz', timestampArray(times))).toEqual(texts);
  expect(await readBack('timestamptz', timestampArray([Number.POSITIVE_INFINITY]))).toEqual(['infinity']);
  expect(await readBack('date', dateArray(times))).toEqual(['1999-12-31', '2026-01-15', '2026-01-14']);
});

it('may be empty', async () => {
  expect(await readBack('text', textArray([]))).toEqual([]);
  expect(await readBack('float8', float8Array([]))).toEqual([]);
});
