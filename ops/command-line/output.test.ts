// Tests of what commands print: tables that stay tables, JSON that programs can read.
import { describe, expect, it } from 'vitest';
import { formatSeconds, formatTable, toJson } from './output.ts';

describe('formatTable', () => {
  it('aligns columns, numbers to the right, and shows what is missing', () => {
    expect(
      formatTable(
        ['name', 'lag'],
        [
          ['a', 5n],
          ['longer', 1_000n],
        ],
      ),
    ).toBe('name     lag\na          5\nlonger  1000');
    expect(formatTable(['a', 'b'], [[null, 'x']])).toBe('a  b\n-  x');
  });

  it('lets no cell break its line', () => {
    expect(formatTable(['text'], [['a\nb\u001b[31m']]).split('\n')).toHaveLength(2);
  });
});

describe('toJson', () => {
  it('writes exact bigints as numbers, others as text, bytes as base64, maps as objects', () => {
    const value = {
      small: 5n,
      large: 2n ** 60n,
      bytes: Buffer.from('hi'),
      map: new Map([['a', [1]]]),
      at: new Date(0),
    };
    expect(JSON.parse(toJson(value))).toEqual({
      small: 5,
      large: '1152921504606846976',
      bytes: 'aGk=',
      map: { a: [1] },
      at: '1970-01-01T00:00:00.000Z',
    });
  });
});

describe('formatSeconds', () => {
  it.each([
    [5.4, '5 s'],
    [600, '10 min'],
    [7_200, '2 h'],
    [259_200, '3 days'],
  ])('%s is %s', (seconds, text) => {
    expect(formatSeconds(seconds)).toBe(text);
  });
});
