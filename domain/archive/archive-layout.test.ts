// Tests of the archive layout: keys sort by offset and say exactly which range they hold.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  archiveHourOf,
  compactedKeyOf,
  isAnotherHour,
  parseArchiveKey,
  readEventsSql,
  segmentKeyOf,
} from './archive-layout.ts';

describe('archive layout', () => {
  it('names an object after its hour, topic, partition and range', () => {
    const hour = archiveHourOf(Date.UTC(2026, 0, 2, 3, 59, 59, 999));
    expect(segmentKeyOf({ topic: 't', partition: 4, firstOffset: 10n, lastOffset: 19n, hour })).toBe(
      'events/dt=2026-01-02/hour=03/t+4+00000000000000000010-00000000000000000019.parquet',
    );
  });

  it('reads its own keys back, and no others', () => {
    const hour = { dt: '2026-01-02', hour: 3 };
    const segment = { topic: 'a.b-c', partition: 11, firstOffset: 7n, lastOffset: 9n, hour };
    expect(parseArchiveKey(segmentKeyOf(segment))).toEqual({ kind: 'segment', ...segment });
    const file = { topic: 'a.b-c', hour, id: '0b0e8a4e-0000-4000-8000-000000000000' };
    expect(parseArchiveKey(compactedKeyOf(file))).toEqual({ kind: 'compacted', ...file });
    for (const key of [
      '',
      'events/x.parquet',
      `${segmentKeyOf(segment)}.tmp`,
      'datasets/m/2026-01-02/training.parquet',
    ])
      expect(parseArchiveKey(key)).toBeNull();
  });

  it('sorts keys of one partition and hour in offset order', () => {
    const offset = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
    fc.assert(
      fc.property(offset, offset, (a, b) => {
        const key = (first: bigint) =>
          segmentKeyOf({
            topic: 't',
            partition: 0,
            firstOffset: first,
            lastOffset: first,
            hour: { dt: '2026-01-01', hour: 0 },
          });
        expect(key(a) < key(b)).toBe(a < b);
      }),
    );
  });

  it('changes the hour exactly on the hour', () => {
    const hour = Date.UTC(2026, 0, 1, 5);
    expect(isAnotherHour(hour - 1, hour)).toBe(true);
    expect(isAnotherHour(hour, hour + 3_599_999)).toBe(false);
  });

  it('refuses to read nothing and quotes file names', () => {
    expect(() => readEventsSql([])).toThrow(RangeError);
    expect(readEventsSql(["it's.parquet"])).toContain("'it''s.parquet'");
  });
});
