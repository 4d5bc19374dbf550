// Tests which ramps may be asked for, and that a plan is what it was after it was stored.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { coverageOfShare, defaultRampPlan, fromRampDocument, parseRampPlan, toRampDocument } from './ramp-plan.ts';

const problemOf = (request: Parameters<typeof parseRampPlan>[0]): string => {
  const parsed = parseRampPlan(request);
  return parsed.ok ? '' : parsed.problems.map(({ field, message }) => `${field}: ${message}`).join('; ');
};

describe('a ramp', () => {
  test('goes 1, 5, 10, 25, 50 % when nothing else is asked for', () => {
    expect(parseRampPlan({})).toEqual({ ok: true, plan: defaultRampPlan });
    expect(defaultRampPlan.steps.map(coverageOfShare)).toEqual([200, 1_000, 2_000, 5_000, 10_000]);
  });

  test.each([
    [{ steps: [] }, 'at least one step'],
    [{ steps: [0, 0.1] }, 'has to give the candidate some traffic'],
    [{ steps: [0.11, 0.5] }, 'the first step is 0.11, and a new version starts at no more than 0.1'],
    [{ steps: [0.05, 0.05] }, 'steps have to rise, and 0.05 follows 0.05'],
    [{ steps: [0.05, 0.6] }, '0.5 is the most'],
    [{ steps: [0.00001] }, 'more than four decimals'],
    [{ minUnits: -1 }, 'min_units: -1 is not a whole number'],
    [{ holdAbove: 2 }, 'hold_above: 2 is not between 0 and 1'],
  ])('refuses %o', (request, message) => {
    expect(problemOf(request)).toContain(message);
  });

  test('is read from the experiment as it was stored', () => {
    const shares = fc.uniqueArray(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 8 }).map((steps) => {
      const rising = steps.toSorted((a, b) => a - b);
      return rising[0]! > 1_000 ? [1_000, ...rising.filter((share) => share > 1_000)] : rising;
    });
    fc.assert(
      fc.property(
        shares,
        fc.option(fc.integer({ min: 0, max: 10_000 })),
        fc.nat(),
        fc.nat(),
        (steps, holdAbove, minUnits, minSeconds) => {
          const plan = { steps, holdAbove, minUnits, minSeconds };
          expect(fromRampDocument(JSON.parse(JSON.stringify(toRampDocument(plan))))).toEqual(plan);
        },
      ),
    );
    expect(fromRampDocument(null)).toBeNull();
    expect(fromRampDocument({ steps: [0.1] })).toBeNull();
  });
});
