// Checks that the memory of first exposures stays bounded and never answers with a time later than one it was given.
import { expect, it } from 'vitest';
import { createKnownExposures } from './known-exposures.ts';

const arm = { experimentId: 'e', variantId: 'v' };

it('remembers the units used last and forgets the others', () => {
  const known = createKnownExposures(10);
  for (let unit = 0; unit < 1_000; unit += 1) {
    known.remember(arm, `u${unit}`, unit);
    known.find(arm, 'u0');
  }
  const remembered = Array.from({ length: 1_000 }, (_, unit) => `u${unit}`).filter(
    (unitId) => known.find(arm, unitId) !== undefined,
  );
  expect(remembered.length).toBeLessThanOrEqual(20);
  expect(remembered).toContain('u0');
  expect(remembered).toContain('u999');
});

it('keeps the earlier of two times, and tells variants apart', () => {
  const known = createKnownExposures(10);
  known.remember(arm, 'u', 5);
  known.remember(arm, 'u', 9);
  known.remember({ ...arm, variantId: 'w' }, 'u', 7);
  expect(known.find(arm, 'u')).toBe(5);
  expect(known.find({ ...arm, variantId: 'w' }, 'u')).toBe(7);
  expect(known.find({ ...arm, variantId: 'x' }, 'u')).toBeUndefined();
});
