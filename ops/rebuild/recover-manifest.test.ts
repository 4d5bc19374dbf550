// Tests of what objects say about themselves together: newer files take the place of older ones, gaps and overlaps are found.
import { describe, expect, it } from 'vitest';
import { type FoundFile, findRangeProblems, formatGap, sortFiles } from './recover-manifest.ts';

const file = (kind: FoundFile['kind'], ranges: [number, number, number][], writtenAtMs = 0): FoundFile => ({
  objectKey: `${kind} ${JSON.stringify(ranges)} ${writtenAtMs}`,
  kind,
  hour: { dt: '2026-01-05', hour: 3 },
  ranges: ranges.map(([partition, first, last]) => ({
    partition,
    firstOffset: BigInt(first),
    lastOffset: BigInt(last),
    rowCount: 1,
    deadLetteredCount: 0,
  })),
  writtenAtMs,
  rowCount: 1,
  sizeBytes: 1,
  sha256: '',
  times: [],
});

describe('the objects of an archive', () => {
  it('are current unless a compacted file holds all their ranges, of two such files the later one', () => {
    const segments = [file('segment', [[0, 0, 9]]), file('segment', [[0, 10, 19]]), file('segment', [[0, 20, 29]])];
    const older = file(
      'compacted',
      [
        [0, 0, 19],
        [1, 0, 5],
      ],
      1_000,
    );
    const newer = file(
      'compacted',
      [
        [0, 0, 19],
        [1, 0, 5],
      ],
      2_000,
    );
    expect(sortFiles([...segments, older, newer])).toEqual({
      current: [newer, segments[2]],
      replaced: [older, segments[0], segments[1]],
    });
  });

  it('show gaps and overlaps between them', () => {
    const { gaps, overlaps } = findRangeProblems([
      file('segment', [[0, 0, 9]]),
      file('compacted', [
        [0, 12, 19],
        [1, 5, 9],
      ]),
      file('segment', [[1, 8, 8]]),
    ]);
    expect(gaps.map(formatGap)).toEqual(['partition 0: offsets 10 to 11']);
    expect(overlaps).toEqual(['partition 1: offsets 8 to 9']);
  });
});
