// Tests of the constraint checker: each rule by an example, certain and possible harm, hard and soft.

import { describe, expect, test } from 'vitest';
import { createCatalogue } from './catalogue.ts';
import { checkPlan, planCostUsd } from './constraint-check.ts';
import type { Plan } from './plan-shape.ts';
import { sampleCatalogue as catalogue, planOf, requestWith, sampleRecipe } from './planning-samples.ts';
import type { Constraint, PlanRequest } from './request-shape.ts';

const violationsOf = (plan: Plan, request: PlanRequest) => checkPlan(plan, request, catalogue).violations;

describe('checkPlan', () => {
  test('finds nothing in a plan that keeps every rule', () => {
    expect(violationsOf(planOf(['rice-bowl'], ['beef-stew']), requestWith([]))).toEqual([]);
  });

  test('tells a certain allergy from a possible one', () => {
    const request = requestWith([{ kind: 'allergy', allergen: 'milk' }]);
    expect(violationsOf(planOf(['nut-soup'], ['rice-bowl']), request)).toEqual([
      {
        kind: 'allergy',
        severity: 'hard',
        slot_id: '2026-01-05/dinner',
        recipe_id: 'nut-soup',
        allergen: 'milk',
        certainty: 'certain',
      },
    ]);
    const stock = createCatalogue([sampleRecipe('stock-soup', ['1 l stock'])]);
    const [violation] = checkPlan(planOf(['stock-soup'], ['stock-soup']), request, stock).violations;
    expect(violation).toMatchObject({ kind: 'allergy', certainty: 'possible', severity: 'hard' });
  });

  test.each<[Constraint, object]>([
    [
      { kind: 'diet', diet: 'vegetarian' },
      { kind: 'diet', diet: 'vegetarian', certainty: 'certain' },
    ],
    [
      { kind: 'exclude_ingredient', ingredient: 'onion' },
      { kind: 'excluded_ingredient', ingredient: 'onion', certainty: 'certain' },
    ],
    [
      { kind: 'max_minutes', days: 'weekday', minutes: 60 },
      { kind: 'time', minutes: 90, allowed_minutes: 60 },
    ],
  ])('finds what breaks %j', (constraint, expected) => {
    const violations = violationsOf(planOf(['beef-stew'], ['rice-bowl']), requestWith([constraint]));
    const about = { severity: 'hard', slot_id: '2026-01-05/dinner', recipe_id: 'beef-stew' };
    expect(violations).toEqual([{ ...about, ...expected }]);
  });

  test('applies a weekend limit on Saturday and Sunday only', () => {
    const request = requestWith([{ kind: 'max_minutes', days: 'weekend', minutes: 60 }]);
    expect(violationsOf(planOf(['beef-stew'], ['rice-bowl']), request)).toEqual([]);
  });

  test('compares the cost with the budget of the days, less what is in the pantry', () => {
    // beef-stew: 2.20 + 0.35 + 0.35 for 2 people = 5.80; rice-bowl: 0.60 × 2 = 1.20
    const plan = planOf(['beef-stew'], ['rice-bowl']);
    const tight = requestWith([{ kind: 'budget', usd_per_day: 3.4 }]);
    expect(planCostUsd(plan, tight, catalogue)).toBe(7);
    expect(violationsOf(plan, tight)).toEqual([
      { kind: 'budget', severity: 'hard', slot_id: null, cost_usd: 7, allowed_usd: 6.8 },
    ]);
    // A third of the ingredients of the stew at home: 5.80 × 2/3 = 3.87
    const stocked = { ...tight, pantry: [{ ingredient: 'beef', use_by: null }] };
    expect(planCostUsd(plan, stocked, catalogue)).toBe(5.07);
    expect(violationsOf(plan, stocked)).toEqual([]);
  });

  test('finds missing, repeated and unrequested slots, unknown recipes, too few servings and what was not on offer', () => {
    const slot = planOf(['rice-bowl', 1]).slots[0]!;
    const plan: Plan = {
      plan_version: 1,
      slots: [slot, slot, { ...slot, slot_id: '2026-02-01/dinner' }],
    };
    expect(violationsOf(plan, requestWith([])).map(({ kind }) => kind)).toEqual([
      'servings',
      'repeated_slot',
      'unrequested_slot',
      'missing_slot',
    ]);
    const other = planOf(['no-such-recipe'], ['rice-bowl-too']);
    expect(violationsOf(other, requestWith([])).map(({ kind }) => kind)).toEqual(['unknown_recipe', 'not_a_candidate']);
  });

  test('calls repetition and unused pantry items soft', () => {
    const request = requestWith([{ kind: 'max_uses', count: 1 }], {
      pantry: [
        { ingredient: 'potato', use_by: '2026-01-06' },
        { ingredient: 'spinach', use_by: '2026-01-05' },
        { ingredient: 'milk', use_by: '2026-01-20' },
      ],
    });
    expect(violationsOf(planOf(['rice-bowl'], ['rice-bowl']), request)).toEqual([
      {
        kind: 'repetition',
        severity: 'soft',
        slot_id: '2026-01-06/dinner',
        recipe_id: 'rice-bowl',
        uses: 2,
        allowed_uses: 1,
      },
      { kind: 'pantry', severity: 'soft', slot_id: null, ingredient: 'potato', use_by: '2026-01-06' },
    ]);
    expect(violationsOf(planOf(['beef-stew'], ['rice-bowl']), request)).toMatchObject([
      { kind: 'pantry', ingredient: 'spinach' },
    ]);
  });
});
