// Tests of the scores: values worked out by hand, and their bounds for any plan.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkPlan } from './constraint-check.ts';
import {
  alignmentWeights,
  constraintRespectScore,
  diversityScore,
  editDistanceScore,
  leftoversUseScore,
  planAlignmentScore,
} from './plan-scores.ts';
import { arbitraryCatalogue, arbitraryPlanFor, arbitraryRequest } from './planning-arbitraries.ts';
import { sampleCatalogue as catalogue, planOf, requestWith } from './planning-samples.ts';

const seed = 20260105;

describe('scores', () => {
  test('constraint respect counts broken hard rules among those looked at', () => {
    const request = requestWith([{ kind: 'allergy', allergen: 'milk' }]);
    // 2 slots × (3 rules about the slot + 1 allergy) = 8
    expect(constraintRespectScore(planOf(['nut-soup'], ['rice-bowl']), request, catalogue)).toBe(7 / 8);
    expect(constraintRespectScore(planOf(['rice-bowl'], ['rice-bowl']), request, catalogue)).toBe(1);
  });

  test('alignment weighs preferences, pantry, ease and thrift', () => {
    const request = requestWith(
      [
        { kind: 'max_minutes', days: 'weekday', minutes: 100 },
        { kind: 'budget', usd_per_day: 12 },
      ],
      {
        household: { ...requestWith([]).household, preferred_facets: ['asian', 'spicy'] },
        pantry: [{ ingredient: 'spinach', use_by: null }],
      },
    );
    // rice-bowl: one of two preferences, one of three pantry items, 20 of 100 minutes, half of 1.20 of 12 dollars
    const riceBowl = 0.5 * 0.5 + 0.2 / 3 + 0.2 * 0.8 + 0.1 * (1 - 0.6 / 12);
    expect(planAlignmentScore(planOf(['rice-bowl'], ['rice-bowl']), request, catalogue)).toBeCloseTo(riceBowl, 12);
    expect(planAlignmentScore(planOf(['rice-bowl']), request, catalogue)).toBeCloseTo(riceBowl / 2, 12);
  });

  test('the weights of every mode sum to 1', () => {
    for (const weights of Object.values(alignmentWeights)) {
      expect(Object.values(weights).reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
    }
  });

  test('edit distance counts another recipe whole and other servings a quarter', () => {
    const plan = planOf(['rice-bowl'], ['beef-stew'], ['nut-soup'], ['rice-bowl']);
    expect(editDistanceScore(plan, plan)).toBe(1);
    expect(editDistanceScore(plan, planOf(['rice-bowl'], ['rice-bowl'], ['nut-soup', 3], ['rice-bowl']))).toBe(
      1 - 1.25 / 4,
    );
    expect(editDistanceScore(plan, planOf(['rice-bowl'], ['beef-stew']))).toBe(0.5);
  });

  test('diversity is 0 for equal recipes, 1 for recipes with nothing in common, and nothing for one recipe', () => {
    expect(diversityScore(planOf(['rice-bowl'], ['rice-bowl-too']), catalogue)).toEqual({
      status: 'computed',
      value: 0,
    });
    const apart = diversityScore(planOf(['rice-bowl'], ['beef-stew']), catalogue);
    expect(apart).toEqual({ status: 'computed', value: 1 });
    expect(diversityScore(planOf(['rice-bowl']), catalogue)).toMatchObject({
      status: 'not-computable',
      reason: 'too-few-units',
    });
  });

  test('leftovers use is the share of due items used in time', () => {
    const request = requestWith([], {
      pantry: [
        { ingredient: 'potato', use_by: '2026-01-05' },
        { ingredient: 'rice', use_by: '2026-01-06' },
      ],
    });
    expect(leftoversUseScore(planOf(['rice-bowl'], ['beef-stew']), request, catalogue)).toEqual({
      status: 'computed',
      value: 0.5,
    });
    expect(leftoversUseScore(planOf(['rice-bowl']), requestWith([]), catalogue)).toMatchObject({
      status: 'not-computable',
    });
  });

  test('all lie between 0 and 1 for any plan, and edit distance is symmetric', () => {
    const cases = fc
      .tuple(arbitraryCatalogue, arbitraryRequest)
      .chain(([recipes, request]) =>
        fc.tuple(fc.constant(recipes), fc.constant(request), arbitraryPlanFor(request), arbitraryPlanFor(request)),
      );
    fc.assert(
      fc.property(cases, ([recipes, request, plan, other]) => {
        const scores = [
          planAlignmentScore(plan, request, recipes),
          constraintRespectScore(plan, request, recipes),
          editDistanceScore(plan, other),
          ...[diversityScore(plan, recipes), leftoversUseScore(plan, request, recipes)].flatMap((score) =>
            score.status === 'computed' ? [score.value] : [],
          ),
        ];
        for (const score of scores) {
          expect(score).toBeGreaterThanOrEqual(0);
          expect(score).toBeLessThanOrEqual(1);
        }
        expect(editDistanceScore(plan, other)).toBe(editDistanceScore(other, plan));
        const respected = checkPlan(plan, request, recipes).violations.every(({ severity }) => severity === 'soft');
        expect(constraintRespectScore(plan, request, recipes) === 1).toBe(respected);
      }),
      { seed },
    );
  });
});
