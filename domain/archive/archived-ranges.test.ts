// Tests of archived ranges: what follows is joined, gaps stay, and the text form is read back or refused.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ArchivedRange, formatRanges, joinRanges, parseRanges } from './archived-ranges.ts';

const range = (partition: number, first: number, last: number, deadLetteredCount = 0): ArchivedRange => ({
  partition,
  firstOffset: BigInt(first),
  lastOffset: BigInt(last),
  rowCount: last - first + 1 - deadLetteredCount,
  deadLetteredCount,
});

describe('archived ranges', () => {
  it('are joined where they follow each other, in whatever order they come', () => {
    expect(joinRanges([range(1, 5, 9), range(0, 4, 7, 2), range(0, 0, 3), range(1, 0, 3)])).toEqual([
      range(0, 0, 7, 2),
      range(1, 0, 3),
      range(1, 5, 9),
    ]);
    expect(joinRanges([])).toEqual([]);
  });

  it('are read back from their text', () => {
    const ranges = [range(0, 0, 7, 2), { ...range(1, 0, 3), lastOffset: 2n ** 62n }];
    expect(parseRanges(formatRanges(ranges))).toEqual(ranges);
  });

  it('are null for any other text, and nothing is thrown', () => {
    for (const text of ['', '{}', '[[]]', '[[0,"0","x",1,0]]', '[[0,0,1,1,0]]', '[null]'])
      expect(parseRanges(text)).toBeNull();
    fc.assert(fc.property(fc.json(), (text) => void parseRanges(text)));
  });
});
