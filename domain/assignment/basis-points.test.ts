// Tests of reading shares: exact up to four decimals, refused with advice beyond.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatBasisPoints, parseBasisPoints } from './basis-points.ts';

test('every share of whole basis points is read exactly, as a number and as text', () => {
  for (let basisPoints = 0; basisPoints <= 10_000; basisPoints += 1) {
    const text = (basisPoints / 10_000).toFixed(4);
    expect(parseBasisPoints(Number(text))).toEqual({ status: 'parsed', basisPoints });
    expect(parseBasisPoints(text)).toEqual({ status: 'parsed', basisPoints });
    expect(parseBasisPoints(formatBasisPoints(basisPoints))).toEqual({ status: 'parsed', basisPoints });
  }
});

test('more than four decimals are refused with the share to write instead', () => {
  const refusal = { status: 'refused', message: expect.stringContaining('more than four decimals') };
  for (const value of [0.33333, 0.00001, 0.99999, 1e-9, 0.5000000000000001, '0.33333', '0.50000000000000000001']) {
    expect(parseBasisPoints(value)).toEqual(refusal);
  }
  expect(parseBasisPoints(0.33333)).toEqual({ status: 'refused', message: expect.stringContaining('write 0.3333 ') });
});

test('trailing zeros are no decimals', () => {
  expect(parseBasisPoints('0.500000')).toEqual({ status: 'parsed', basisPoints: 5_000 });
});

test('what is no share between 0 and 1 is refused', () => {
  for (const value of [
    -0.1,
    1.0001,
    50,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    'half',
    '',
    '5e-1',
    null,
    true,
    undefined,
    [0.5],
    {},
  ]) {
    expect(parseBasisPoints(value)).toEqual({ status: 'refused', message: expect.any(String) });
  }
});

test('any number is either read without rounding or refused', () => {
  fc.assert(
    fc.property(fc.double(), (share) => {
      const result = parseBasisPoints(share);
      if (result.status === 'parsed') expect(result.basisPoints / 10_000 === share).toBe(true);
    }),
  );
});
