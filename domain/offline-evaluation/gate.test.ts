// Tests of the gate: each criterion on both sides of its tolerance, and what a verdict follows from.

import { describe, expect, test } from 'vitest';
import { computed, notComputable } from '#domain/statistics/result.ts';
import { decideGate, defaultTolerances, type GateEvidence } from './gate.ts';

const difference = (lower: number, upper: number, households = 100) =>
  computed({
    model: 0.5 + (lower + upper) / 2,
    baseline: 0.5,
    difference: (lower + upper) / 2,
    lower,
    upper,
    plans: 2 * households,
    households,
  });

const good: GateEvidence = {
  alignment: difference(0, 0.02),
  edits: difference(0.01, 0.1),
  diversity: difference(-0.02, 0),
  avoidableViolations: 0,
  unconstrainedRespect: 0.99,
  plans: 200,
};
const verdictOf = (change: Partial<GateEvidence>) => decideGate({ ...good, ...change }, defaultTolerances).verdict;

describe('the gate', () => {
  test('passes a model that is as good as it must be in all four criteria, and says why', () => {
    const { verdict, criteria } = decideGate(good, defaultTolerances);
    expect(verdict).toBe('pass');
    expect(criteria.map(({ name, verdict: part }) => [name, part])).toEqual([
      ['alignment', 'pass'],
      ['constraints', 'pass'],
      ['edits', 'pass'],
      ['diversity', 'pass'],
    ]);
    expect(criteria[2]?.reason).toBe('0.555 against 0.5, difference 0.055 (0.01 to 0.1); above 0 is wanted');
  });

  test('never passes a model that breaks one hard rule, however good it is otherwise', () => {
    const { verdict, criteria } = decideGate({ ...good, avoidableViolations: 1 }, defaultTolerances);
    expect(verdict).toBe('fail');
    expect(criteria[1]?.reason).toBe('the plans break 1 hard rule that could have been kept');
    const generous = { ...defaultTolerances, unconstrainedRespect: 0, alignmentLoss: 1, diversityLoss: 1 };
    expect(decideGate({ ...good, avoidableViolations: 1 }, generous).verdict).toBe('fail');
  });

  test.each<[string, Partial<GateEvidence>, string]>([
    ['loses alignment within the tolerance', { alignment: difference(-0.0199, 0) }, 'pass'],
    ['may lose more alignment', { alignment: difference(-0.03, 0.01) }, 'inconclusive'],
    ['surely loses more alignment', { alignment: difference(-0.2, -0.02) }, 'fail'],
    ['may save no edits', { edits: difference(0, 0.1) }, 'inconclusive'],
    ['surely saves no edits', { edits: difference(-0.1, 0) }, 'fail'],
    ['surely loses diversity', { diversity: difference(-0.2, -0.06) }, 'fail'],
    ['knows too little of the rules by itself', { unconstrainedRespect: 0.94 }, 'fail'],
    ['met too few households', { edits: difference(0.01, 0.1, 29) }, 'inconclusive'],
    ['has no answers to compare with', { edits: notComputable('no-data', 'nothing') }, 'inconclusive'],
    [
      'fails in one and is open in another',
      { edits: difference(-0.1, 0.1), alignment: difference(-0.2, -0.1) },
      'fail',
    ],
  ])('a model that %s', (_, change, verdict) => {
    expect(verdictOf(change)).toBe(verdict);
  });
});
