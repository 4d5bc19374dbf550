// Checks that windows are half-open, aligned to UTC, and that each hour lies in one day.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { windowGranularities, windowOf, windowStartOf } from './tumbling-window.ts';

const at = (text: string): number => Date.parse(text);
const instant = fc.integer({ min: at('1900-01-01T00:00:00Z'), max: at('2100-01-01T00:00:00Z') });

describe('a tumbling window', () => {
  it('starts on the hour, or at midnight UTC', () => {
    expect(windowStartOf(at('2026-03-29T01:59:59.999Z'), 'hour')).toBe(at('2026-03-29T01:00:00Z'));
    expect(windowStartOf(at('2026-03-29T23:59:59.999Z'), 'day')).toBe(at('2026-03-29T00:00:00Z'));
  });

  it('includes its start and not its end', () => {
    const day = windowOf(at('2026-01-01T00:00:00.000Z'), 'day');
    expect(day).toEqual({
      granularity: 'day',
      windowStartMs: at('2026-01-01T00:00:00Z'),
      windowEndMs: at('2026-01-02T00:00:00Z'),
    });
    expect(windowStartOf(day.windowEndMs, 'day')).toBe(day.windowEndMs);
    expect(windowStartOf(day.windowEndMs - 1, 'day')).toBe(day.windowStartMs);
  });

  it('holds the instant it was asked for, also before 1970', () => {
    fc.assert(
      fc.property(instant, fc.constantFrom(...windowGranularities), (timeMs, granularity) => {
        const { windowStartMs, windowEndMs } = windowOf(timeMs, granularity);
        expect(windowStartMs).toBeLessThanOrEqual(timeMs);
        expect(windowEndMs).toBeGreaterThan(timeMs);
      }),
      { seed: 20261124 },
    );
  });

  it('of an hour lies within one window of a day', () => {
    fc.assert(
      fc.property(instant, (timeMs) => {
        const hour = windowOf(timeMs, 'hour');
        const day = windowOf(timeMs, 'day');
        expect(hour.windowStartMs).toBeGreaterThanOrEqual(day.windowStartMs);
        expect(hour.windowEndMs).toBeLessThanOrEqual(day.windowEndMs);
      }),
      { seed: 20261124 },
    );
  });
});
