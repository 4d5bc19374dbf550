// Checks that the memory of first exposures never answers with a time later than one it was given.
import { expect, it } from 'vitest';
import { createKnownExposures } from './known-exposures.ts';

const arm = { experimentId: 'e', variantId: 'v' };

it('keeps the earlier of two times, and tells variants apart', () => {
  const known = createKnownExposures(10);
  known.remember(arm, 'u', 5);
  known.remember(arm, 'u', 9);
  known.remember({ ...arm, variantId: 'w' }, 'u', 7);
  expect(known.find(arm, 'u')).toBe(5);
  expect(known.find({ ...arm }, 'u')).toBe(5);
  expect(known.find({ ...arm, variantId: 'w' }, 'u')).toBe(7);
  expect(known.find({ ...arm, variantId: 'x' }, 'u')).toBeUndefined();
});
