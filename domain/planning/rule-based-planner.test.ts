// Tests of the rule-based planner: hard rules, logged propensities, and the validator.

import { Value } from '@sinclair/typebox/value';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allowedCostUsd, checkPlan, planCostUsd } from './constraint-check.ts';
import { type Plan, PlanShape, SlotChoiceShape } from './plan-shape.ts';
import { findAllowed } from './plan-validator.ts';
import { arbitraryCatalogue, arbitraryRequest } from './planning-arbitraries.ts';
import { sampleCatalogue as catalogue, requestWith } from './planning-samples.ts';
import { planByRules } from './rule-based-planner.ts';
import { createRandom } from './seeded-random.ts';

const seed = 20260105;

describe('planByRules', () => {
  const cases = fc.tuple(arbitraryCatalogue, arbitraryRequest, fc.string());

  test('breaks a hard rule only where no allowed candidate could have kept it', () => {
    fc.assert(
      fc.property(cases, ([recipes, request, text]) => {
        const { plan } = planByRules(request, { catalogue: recipes, random: createRandom(text) });
        const allowedBySlot = new Map(
          request.slots.map((slot) => [
            slot.slot_id,
            findAllowed(slot, request, recipes).filter((entry) => entry !== null),
          ]),
        );
        for (const violation of checkPlan(plan, request, recipes).violations) {
          if (violation.severity === 'soft') continue;
          if (violation.kind === 'missing_slot') expect(allowedBySlot.get(violation.slot_id ?? '')).toEqual([]);
          else {
            expect(violation.kind).toBe('budget');
            const cheapest: Plan = {
              plan_version: 1,
              slots: plan.slots.map((slot) => {
                const costOf = (recipe_id: string) =>
                  planCostUsd({ plan_version: 1, slots: [{ ...slot, recipe_id }] }, request, recipes);
                const ids = allowedBySlot.get(slot.slot_id)!.map((entry) => entry.recipe.recipe_id);
                return { ...slot, recipe_id: ids.reduce((a, b) => (costOf(b) < costOf(a) ? b : a)) };
              }),
            };
            expect(planCostUsd(cheapest, request, recipes)).toBeGreaterThan(allowedCostUsd(request)!);
          }
        }
      }),
      { seed, numRuns: 500 },
    );
  });

  test('logs propensities that sum to 1 over the candidates, and the one of what it chose', () => {
    fc.assert(
      fc.property(cases, ([recipes, request, text]) => {
        const { plan, choices } = planByRules(request, { catalogue: recipes, random: createRandom(text) });
        expect(choices.map((choice) => choice.slot_id)).toEqual(request.slots.map((slot) => slot.slot_id));
        expect(Value.Check(PlanShape, plan)).toBe(true);
        for (const [index, choice] of choices.entries()) {
          expect(Value.Check(SlotChoiceShape, choice)).toBe(true);
          const { candidates } = request.slots[index]!;
          expect(choice.propensities).toHaveLength(candidates.length);
          const sum = choice.propensities.reduce((a, b) => a + b, 0);
          if (choice.recipe_id === null) expect(sum).toBe(0);
          else expect(sum).toBeCloseTo(1, 9);
          if (choice.source === 'policy' && choice.recipe_id !== null) {
            expect(choice.action_propensity).toBe(choice.propensities[candidates.indexOf(choice.recipe_id)]);
          } else expect(choice.action_propensity).toBeNull();
        }
      }),
      { seed },
    );
  });

  test('chooses as often as it says: frequencies match the propensities of the first slot', () => {
    const request = requestWith([]);
    const runs = 4000;
    const counts = new Map<string, number>();
    let propensities: number[] = [];
    for (let i = 0; i < runs; i++) {
      const { choices } = planByRules(request, { catalogue, random: createRandom(`run/${i}`) });
      const [first] = choices;
      counts.set(first!.recipe_id!, (counts.get(first!.recipe_id!) ?? 0) + 1);
      propensities = first!.propensities;
    }
    for (const [index, id] of request.slots[0]!.candidates.entries()) {
      const p = propensities[index]!;
      // Four standard errors.
      expect(Math.abs((counts.get(id) ?? 0) / runs - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / runs));
    }
  });

  test('the validator swaps the dearest slots when the budget is broken, and says so', () => {
    const request = requestWith([
      { kind: 'budget', usd_per_day: 1.3 },
      { kind: 'allergy', allergen: 'tree_nut' },
    ]);
    const results = Array.from({ length: 40 }, (_, i) =>
      planByRules(request, { catalogue, random: createRandom(`${i}`) }),
    );
    for (const { plan } of results)
      expect(plan.slots.map((slot) => slot.recipe_id)).toEqual(['rice-bowl', 'rice-bowl']);
    const swapped = results.flatMap(({ choices }) => choices).filter((choice) => choice.source === 'validator');
    expect(swapped.length).toBe(results.reduce((sum, { interventions }) => sum + interventions, 0));
    expect(swapped.length).toBeGreaterThan(0);
  });
});
