// Small versions of the simulations, so that a broken interval or test is noticed on every save.
import { describe, expect, it } from 'vitest';
import { coverageFindings, cupedFinding } from './coverage.ts';
import { guardrailFindings } from './guardrail.ts';
import { groupSequentialFinding, sampleRatioFindings } from './looks.ts';
import { offPolicyCoverage, TRUE_VALUE } from './off-policy.ts';
import { peekingFindings, referenceEffect, simulatePeeking } from './peeking.ts';
import { isWithin } from './simulation.ts';

describe('simulated experiments', () => {
  it('looked at thirty times raise few false alarms and still find the effect of the reference', () => {
    const plan = { seed: 3, runs: 150, looks: 30, unitsPerLook: 100, alpha: 0.05, tuningUnits: 2000 };
    for (const finding of peekingFindings(plan))
      expect(isWithin(finding), `${finding.name}: ${finding.measured}`).toBe(true);
  });

  it('give the same numbers for the same seed', () => {
    const plan = { seed: 5, runs: 10, looks: 5, unitsPerLook: 50, alpha: 0.05, tuningUnits: 500 };
    const effect = referenceEffect(plan);
    expect(simulatePeeking(plan, effect)).toEqual(simulatePeeking(plan, effect));
  });

  it('are covered by 95 % intervals about as often as these say', () => {
    for (const { name, measured } of coverageFindings({ seed: 7, runs: 800, unitsPerVariant: 200 })) {
      // Three standard errors of 800 runs.
      expect(Math.abs(measured - 0.95), name).toBeLessThan(0.0232);
    }
  });

  it('have intervals that CUPED narrows as its theory says', () => {
    const finding = cupedFinding({ seed: 9, runs: 60, unitsPerVariant: 400 });
    expect(Math.abs(finding.measured - 0.6)).toBeLessThan(0.01);
  });

  it('spend alpha over group-sequential looks, and seldom alarm on a sound split', () => {
    expect(isWithin(groupSequentialFinding({ seed: 13, runs: 10_000 }))).toBe(true);
    for (const finding of sampleRatioFindings({ seed: 15, runs: 200 }))
      expect(isWithin(finding), finding.name).toBe(true);
  });
});

describe('simulated guardrails', () => {
  it('without harm seldom stop an experiment, however often they are looked at', () => {
    for (const finding of guardrailFindings({ seed: 19, runs: 100, from: 100, to: 800 }))
      expect(isWithin(finding), finding.name).toBe(true);
  });
});

describe('simulated logs', () => {
  const plan = { seed: 17, runs: 100, rounds: 400, resamples: 200 };

  it.each(['ips', 'snips', 'doubly-robust'] as const)('%s is near the truth and its interval holds it', (kind) => {
    const { coverage, mean } = offPolicyCoverage(plan, { kind });
    expect(coverage).toBeGreaterThanOrEqual(0.87);
    expect(Math.abs(mean - TRUE_VALUE)).toBeLessThan(0.015);
  });

  it('the direct method is wrong with a wrong model, which its interval does not know', () => {
    expect(offPolicyCoverage(plan, { kind: 'direct-method' }).coverage).toBeLessThan(0.5);
  });
});
