// Tests that a proportion is judged as a guardrail although all units of a variant have the same outcome, and that nothing else changes.
import { describe, expect, test } from 'vitest';
import { isComputed } from '#domain/statistics/result.ts';
import { meanSample, proportionSample } from '#domain/statistics/sample.ts';
import { type Statistic, sampleStatistic } from '#domain/statistics/statistic.ts';
import { estimateForGuardrail, estimateOverStrata, testGuardrail } from './compare-variants.ts';

const share = (successes: number, count: number): Statistic => sampleStatistic(proportionSample({ count, successes }));
const proportion = { kind: 'proportion', scale: 'absolute' } as const;
const judge = (control: Statistic, treatment: Statistic) =>
  testGuardrail(estimateForGuardrail(proportion, [[control, treatment]]), {
    harmful: 'increase',
    bound: 0.05,
    alpha: 0.025,
    tuningUnits: 5_000,
  });

describe('a proportion', () => {
  test('that everybody has in the candidate and nobody in control breaks its bound', () => {
    expect(judge(share(0, 100), share(100, 100))).toMatchObject({ status: 'computed', isBroken: true });
  });

  test('that nobody has in either is judged, not broken, and shown to hold when there are enough units', () => {
    expect(judge(share(0, 100), share(0, 100))).toMatchObject({ status: 'computed', estimate: 0, isBroken: false });
    const many = judge(share(0, 20_000), share(0, 20_000));
    expect(isComputed(many) && many.interval.upper).toBeLessThan(0.05);
  });

  test('is the plain estimate where there is variance', () => {
    const pair = [share(3, 100), share(9, 120)] as const;
    expect(estimateForGuardrail(proportion, [pair])).toEqual(estimateOverStrata([pair], 'absolute'));
  });

  test('is taken over all periods of a ramp together', () => {
    const effect = estimateForGuardrail(proportion, [
      [share(0, 40), share(40, 40)],
      [share(0, 60), share(60, 60)],
    ]);
    expect(effect).toEqual(estimateForGuardrail(proportion, [[share(0, 100), share(100, 100)]]));
    // (100 + 1) / 102 against 1 / 102.
    expect(isComputed(effect) && effect.estimate).toBeCloseTo(100 / 102, 12);
  });
});

test('a mean without variance stays without a judgement', () => {
  const same = sampleStatistic(meanSample({ count: 100, mean: 5, m2: 0 }));
  const effect = estimateForGuardrail({ kind: 'mean', scale: 'absolute' }, [[same, same]]);
  expect(effect).toMatchObject({ reason: 'zero-variance' });
});
