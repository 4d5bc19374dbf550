// Tests of the parser: what it reads, and that its errors say file, line and column.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseHeader, parseImpression, parseOpenBandit, toExperimentKey } from './parse-open-bandit.ts';

const headerLine = 'policy,timestamp,item_id,position,click,propensity_score,user_feature_0';
const goodLine = 'bts,2019-11-24T00:01:03.979311Z,2,3,0,0.045525,cef3390e';
const header = parseHeader(headerLine, 'x.csv');

async function* linesOf(...lines: string[]) {
  yield* lines;
}

async function parseAll(...lines: string[]) {
  return Array.fromAsync(parseOpenBandit(linesOf(...lines), 'x.csv'));
}

describe('parseImpression', () => {
  test('reads every column, cuts the time to milliseconds and keeps further columns as features', () => {
    expect(parseImpression(goodLine, 7, header)).toEqual({
      rowNumber: 7,
      policy: 'bts',
      timestamp: '2019-11-24T00:01:03.979Z',
      itemId: 2,
      position: 3,
      click: 0,
      actionPropensity: 0.045525,
      features: { user_feature_0: 'cef3390e' },
    });
  });

  test('finds the columns by name, in any order, with a byte order mark, quotes and carriage returns', () => {
    const other = parseHeader(
      '\uFEFFclick,"note, really",policy,timestamp,item_id,position,propensity_score\r',
      'women.csv',
    );
    const impression = parseImpression('1,"a ""b"", c",random,2020-02-29 23:59:59+00:00,45,1,1\r', 1, other);
    expect(impression).toMatchObject({ click: 1, policy: 'random', itemId: 45, actionPropensity: 1 });
    expect(impression.timestamp).toBe('2020-02-29T23:59:59.000Z');
    expect(impression.features).toEqual({ 'note, really': 'a "b", c' });
  });

  test('turns a time with another zone into UTC and takes a time without one as UTC', () => {
    const timeOf = (time: string) => parseImpression(goodLine.replace(/2019[^,]*/, time), 1, header).timestamp;
    expect(timeOf('2019-11-24T01:30:00+02:00')).toBe('2019-11-23T23:30:00.000Z');
    expect(timeOf('2019-11-24 01:30:00.5')).toBe('2019-11-24T01:30:00.500Z');
  });

  test.each([
    ['policy', ',2019-11-24T00:00:00Z,1,1,0,0.5,f'],
    ['timestamp', 'bts,yesterday,1,1,0,0.5,f'],
    ['timestamp', 'bts,2019-02-30T00:00:00Z,1,1,0,0.5,f'],
    ['timestamp', 'bts,2019-11-24T25:00:00Z,1,1,0,0.5,f'],
    ['item_id', 'bts,2019-11-24T00:00:00Z,1.5,1,0,0.5,f'],
    ['position', 'bts,2019-11-24T00:00:00Z,1,0,0,0.5,f'],
    ['click', 'bts,2019-11-24T00:00:00Z,1,1,2,0.5,f'],
    ['propensity_score', 'bts,2019-11-24T00:00:00Z,1,1,0,0,f'],
    ['propensity_score', 'bts,2019-11-24T00:00:00Z,1,1,0,1.2,f'],
    ['propensity_score', 'bts,2019-11-24T00:00:00Z,1,1,0,,f'],
    ['propensity_score', 'bts,2019-11-24T00:00:00Z,1,1,0,NaN,f'],
  ])('names file, line and column of a bad %s in %s', (column, line) => {
    expect(() => parseImpression(line, 16, header)).toThrow(new RegExp(`^x\\.csv:17:${column}: expected .*, got "`));
  });

  test('refuses a line with too few values and an open quote', () => {
    expect(() => parseImpression('bts,2019-11-24T00:00:00Z', 1, header)).toThrow('x.csv:2: expected 7 values, got 2');
    expect(() => parseImpression(`"${goodLine}`, 1, header)).toThrow('x.csv:2: a quote that is not closed');
  });

  test('never fails with anything but its own error, whatever the line', () => {
    fc.assert(
      fc.property(fc.uint16Array(), (units) => {
        const line = String.fromCharCode(...units);
        try {
          parseImpression(line, 1, header);
        } catch (error) {
          expect((error as Error).name).toBe('OpenBanditFileError');
        }
      }),
      { seed: 20191124 },
    );
  });
});

describe('parseOpenBandit', () => {
  test('numbers rows from 1 and allows one empty line at the end', async () => {
    const rows = await parseAll(headerLine, goodLine, goodLine, '');
    expect(rows.map((row) => row.rowNumber)).toEqual([1, 2]);
  });

  test('names every missing column at once', async () => {
    await expect(parseAll('policy,timestamp,item_id,position')).rejects.toThrow(
      'x.csv:1: missing column click, propensity_score',
    );
    await expect(parseAll(`${headerLine},policy`)).rejects.toThrow('x.csv:1: column given twice: policy');
    await expect(parseAll(`,${headerLine}`)).rejects.toThrow('x.csv:1: a column without a name');
  });

  test('refuses an empty file, a file with only a header and an empty line in the middle', async () => {
    await expect(parseAll()).rejects.toThrow('x.csv:1: the file is empty');
    await expect(parseAll(headerLine)).rejects.toThrow('x.csv:1: no impressions after the header');
    await expect(parseAll(headerLine, goodLine, '', goodLine)).rejects.toThrow('x.csv:3: an empty line');
  });
});

test.each([
  ['data/open-bandit-men.csv.gz', 'open-bandit-men'],
  ['C:\\logs\\Open_Bandit All.CSV', 'open-bandit-all'],
  ['women', 'women'],
])('the experiment key of %s is %s', (path, key) => {
  expect(toExperimentKey(path)).toBe(key);
});

test('a file name without a letter or digit gives no experiment key', () => {
  expect(() => toExperimentKey('/tmp/--.csv.gz')).toThrow('no letter or digit');
});
