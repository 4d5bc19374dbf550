// Tests of what a plan is worth: which broken rules are the planner's fault, and scores that do not exist.

import { describe, expect, test } from 'vitest';
import { sampleCatalogue as catalogue, planOf, requestWith } from '#domain/planning/planning-samples.ts';
import type { Constraint, PlanRequest } from '#domain/planning/request-shape.ts';
import { assessPlan } from './plan-quality.ts';

const assess = (plan: ReturnType<typeof planOf>, request: PlanRequest, finalPlan: typeof plan | null = null) =>
  assessPlan(plan, { request, finalPlan, catalogue });
const kindsOf = (...args: Parameters<typeof assess>) => assess(...args).avoidableViolations.map(({ kind }) => kind);

const noNuts: Constraint = { kind: 'allergy', allergen: 'tree_nut' };
const quick: Constraint = { kind: 'max_minutes', days: 'weekday', minutes: 10 };

describe('a plan', () => {
  test('is at fault for a rule that another candidate keeps', () => {
    expect(kindsOf(planOf(['nut-soup'], ['rice-bowl']), requestWith([noNuts]))).toEqual(['allergy']);
    expect(kindsOf(planOf(['rice-bowl']), requestWith([noNuts]))).toEqual(['missing_slot']);
    expect(kindsOf(planOf(['rice-bowl'], ['beef-stew']), requestWith([noNuts]))).toEqual([]);
  });

  test('is not at fault for a slot that nothing allowed can fill, but for filling it all the same', () => {
    expect(kindsOf(planOf(), requestWith([quick]))).toEqual([]);
    expect(kindsOf(planOf(['rice-bowl']), requestWith([quick]))).toEqual(['time']);
  });

  test('is at fault for a budget only when cheaper allowed candidates keep it', () => {
    const dear = planOf(['beef-stew'], ['beef-stew']);
    const costOf = (usd: number) => requestWith([{ kind: 'budget', usd_per_day: usd }]);
    expect(kindsOf(dear, costOf(0.01))).toEqual([]);
    const cheap = planOf(['rice-bowl'], ['rice-bowl']);
    const between = [1, 2, 3, 4, 5, 6, 8, 10].find(
      (usd) => kindsOf(cheap, costOf(usd)).length === 0 && kindsOf(dear, costOf(usd)).length > 0,
    );
    expect(between).toBeDefined();
  });

  test('has an edit distance only when the household has answered, and diversity only with two recipes', () => {
    const { scores } = assess(planOf(['rice-bowl']), requestWith([]));
    expect(scores).toMatchObject({ edit_distance_score: null, diversity_score: null, leftovers_use_score: null });
    const both = planOf(['rice-bowl'], ['beef-stew']);
    const answered = assess(both, requestWith([]), planOf(['rice-bowl'], ['nut-soup'])).scores;
    expect(answered).toMatchObject({ edit_distance_score: 0.5, constraint_respect_score: 1 });
    expect(answered.diversity_score).toBeGreaterThan(0);
  });
});
