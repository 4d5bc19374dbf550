// Times of COPY lines against the language's own formatting.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { timeText } from './transform.ts';

describe('lines of COPY text', () => {
  it('writes times as toISOString does, over the whole range of Date', () => {
    const limit = 8.64e15;
    fc.assert(
      fc.property(
        fc.oneof(fc.integer({ min: -limit, max: limit }), fc.integer({ min: 0, max: 4_102_444_800_000 })),
        (timeMs) => {
          expect(timeText(timeMs)).toBe(new Date(timeMs).toISOString());
        },
      ),
    );
    for (const timeMs of [
      0,
      -1,
      Date.UTC(1999, 11, 31, 23, 59, 59, 999),
      Date.UTC(9999, 11, 31, 23, 59, 59, 999),
      Date.UTC(10_000, 0, 1),
    ])
      expect(timeText(timeMs)).toBe(new Date(timeMs).toISOString());
  });
});
