// The training task is honest: from what a request shows, a small model learns tastes that the planner cannot see, and it holds for households it never met.

import { beforeAll, describe, expect, test } from 'vitest';
import type { PlanFeedbackPayload, PlanGeneratedPayload } from '#domain/planning/plan-shape.ts';
import { findAllowed } from '#domain/planning/plan-validator.ts';
import { facetsOf, recipeFacets } from '#domain/planning/recipe-facets.ts';
import { type PlanRequest, regions } from '#domain/planning/request-shape.ts';
import { planByRules } from '#domain/planning/rule-based-planner.ts';
import { createRandom } from '#domain/planning/seeded-random.ts';
import { utilityOf } from './tastes.ts';
import { committedCatalogue as catalogue, runTraffic, sampleWorld, variantOf } from './traffic-samples.ts';

type Row = {
  readonly householdId: string;
  readonly generated: PlanGeneratedPayload;
  readonly feedback: PlanFeedbackPayload;
};

const world = sampleWorld({ seed: 11, households: 280, days: 21 });
let train: Row[];
let heldOut: Row[];

beforeAll(() => {
  const events = runTraffic({ world, assign: () => [variantOf('control')] });
  const generated = new Map<string, PlanGeneratedPayload>();
  const rows: Row[] = [];
  for (const event of events) {
    if (event.event_type === 'plan_generated') {
      const payload = event.payload as PlanGeneratedPayload;
      generated.set(payload.plan_id, payload);
    } else if (event.metrics.accepted !== undefined) {
      const feedback = event.payload as PlanFeedbackPayload;
      rows.push({ householdId: event.unit_id, generated: generated.get(feedback.plan_id)!, feedback });
    }
  }
  const held = new Set(world.members.filter((_, index) => index % 4 === 0).map((member) => member.householdId));
  train = rows.filter((row) => !held.has(row.householdId));
  heldOut = rows.filter((row) => held.has(row.householdId));
});

const groupsOf = (request: PlanRequest): number[] => [
  0,
  1 + regions.indexOf(request.household.region),
  ...(request.household.members.some((member) => member.age_group === 'child') ? [6] : []),
];
const perGroup = recipeFacets.length + 1;
const stated = 7 * perGroup;
const liked = stated + 1;
const rejected = stated + 2;
const featureCount = stated + 3;

type Features = readonly { readonly at: number; readonly value: number }[];

/** What a recipe looks like to a model that reads the request: facets crossed with visible attributes, and the plan before. */
function featuresOf(recipeId: string, request: PlanRequest): Features {
  const { recipe } = catalogue.findRecipe(recipeId)!;
  const facets = facetsOf(recipe);
  const features = groupsOf(request).flatMap((group) => [
    ...facets.map((facet) => ({ at: group * perGroup + recipeFacets.indexOf(facet), value: 1 })),
    { at: group * perGroup + recipeFacets.length, value: Math.min(recipe.minutes_at_least, 120) / 60 },
  ]);
  const preferred = facets.filter((facet) => request.household.preferred_facets.includes(facet)).length;
  features.push({ at: stated, value: preferred });
  const replaced = request.previous_plan?.slots.filter((slot) => slot.replaced_recipe_id !== null) ?? [];
  const similarity = (other: string) =>
    facetsOf(catalogue.findRecipe(other)!.recipe).filter((facet) => facets.includes(facet)).length / replaced.length;
  for (const slot of replaced) {
    features.push({ at: liked, value: similarity(slot.recipe_id) });
    features.push({ at: rejected, value: similarity(slot.replaced_recipe_id!) });
  }
  return features;
}

function dot(weights: Float64Array, features: Features): number {
  let sum = 0;
  for (const { at, value } of features) sum += weights[at]! * value;
  return sum;
}

const logistic = (x: number) => 1 / (1 + Math.exp(-x));

type Choice = { readonly options: readonly Features[]; readonly chosen: number };

/** The slots that the households filled themselves: what they took, among what they could have had. */
function listChoices(rows: readonly Row[]): Choice[] {
  return rows.flatMap(({ generated, feedback }) =>
    feedback.final_plan.slots.flatMap((slot): Choice[] => {
      if (!feedback.edited_slots.includes(slot.slot_id)) return [];
      const requested = generated.request.slots.find(({ slot_id }) => slot_id === slot.slot_id)!;
      const ids = findAllowed(requested, generated.request, catalogue).flatMap(
        (entry) => entry?.recipe.recipe_id ?? [],
      );
      return [{ options: ids.map((id) => featuresOf(id, generated.request)), chosen: ids.indexOf(slot.recipe_id) }];
    }),
  );
}

function choiceProbabilities(weights: Float64Array, { options }: Choice): number[] {
  const scores = options.map((option) => Math.exp(dot(weights, option)));
  const total = scores.reduce((sum, score) => sum + score, 0);
  return scores.map((score) => score / total);
}

/** Conditional logit by stochastic gradient descent, with a little weight decay. */
function fitChoices(choices: readonly Choice[]): Float64Array {
  const weights = new Float64Array(featureCount);
  for (let epoch = 0; epoch < 15; epoch++) {
    const rate = 0.1 / (1 + epoch / 5);
    for (const choice of choices) {
      const probabilities = choiceProbabilities(weights, choice);
      for (const [index, option] of choice.options.entries()) {
        const error = (index === choice.chosen ? 1 : 0) - probabilities[index]!;
        for (const { at, value } of option) weights[at]! += rate * error * value;
      }
    }
    for (let at = 0; at < featureCount; at++) weights[at]! *= 0.98;
  }
  return weights;
}

/** How much better the best other candidate is than the planned one, by the learned weights: mean over slots. */
function expectedRegret(weights: Float64Array, { generated: { request, plan } }: Row): number {
  const regrets = plan.slots.map((slot) => {
    const requested = request.slots.find(({ slot_id }) => slot_id === slot.slot_id)!;
    const scores = findAllowed(requested, request, catalogue).flatMap((entry) =>
      entry ? [dot(weights, featuresOf(entry.recipe.recipe_id, request))] : [],
    );
    return Math.max(...scores) - dot(weights, featuresOf(slot.recipe_id, request));
  });
  return regrets.reduce((sum, regret) => sum + regret, 0) / regrets.length;
}

const acceptedOf = (row: Row) => (row.feedback.edited_slots.length === 0 ? 1 : 0);
const logLoss = (p: number, y: number) => -Math.log(y === 1 ? p : 1 - p);
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('from the requests of other households', () => {
  let weights: Float64Array;
  beforeAll(() => {
    weights = fitChoices(listChoices(train));
  });

  test('a logistic model predicts acceptance better than the base rate', () => {
    const base = mean(train.map(acceptedOf));
    const inputs = train.map((row) => ({ x: expectedRegret(weights, row), y: acceptedOf(row) }));
    let [slope, intercept] = [0, 0];
    for (let epoch = 0; epoch < 400; epoch++) {
      const errors = inputs.map(({ x, y }) => ({ x, error: y - logistic(slope * x + intercept) }));
      slope += 0.5 * mean(errors.map(({ x, error }) => x * error));
      intercept += 0.5 * mean(errors.map(({ error }) => error));
    }
    const model = mean(
      heldOut.map((row) => logLoss(logistic(slope * expectedRegret(weights, row) + intercept), acceptedOf(row))),
    );
    const baseRate = mean(heldOut.map((row) => logLoss(base, acceptedOf(row))));
    expect(model).toBeLessThan(baseRate - 0.02);
  });

  test('the recipes that households choose themselves are found far more often than by chance', () => {
    const choices = listChoices(heldOut);
    expect(hitRate(weights, choices)).toBeGreaterThan(chanceRate(choices) + 0.25);
  });

  test('a planner that uses them makes plans that the households like better than the rule-based ones', () => {
    const tasteOf = new Map(world.members.map((member) => [member.householdId, member.taste]));
    const liking = heldOut.map(({ householdId, generated: { request, plan_id } }) => {
      const taste = tasteOf.get(householdId)!;
      const likingOf = (ids: readonly string[]) => mean(ids.map((id) => utilityOf(catalogue.findRecipe(id)!, taste)));
      const learned = request.slots.flatMap((slot) => {
        const ids = findAllowed(slot, request, catalogue).flatMap((entry) => entry?.recipe.recipe_id ?? []);
        const scores = ids.map((id) => dot(weights, featuresOf(id, request)));
        return ids[scores.indexOf(Math.max(...scores))] ?? [];
      });
      // Planned anew: the logged plan is what the household edited, so comparing with it would favor it.
      const { plan } = planByRules(request, { catalogue, random: createRandom(plan_id) });
      return { learned: likingOf(learned), rules: likingOf(plan.slots.map((slot) => slot.recipe_id)) };
    });
    expect(mean(liking.map(({ learned, rules }) => learned - rules))).toBeGreaterThan(0.5);
  });

  test('nothing is learned from shuffled answers', () => {
    const choices = listChoices(heldOut);
    const known = listChoices(train);
    const rates = ['a', 'b', 'c', 'd'].map((name) => {
      const random = createRandom(`shuffled/${name}`);
      const shuffled = known.map((choice) => ({ ...choice, chosen: Math.floor(random() * choice.options.length) }));
      return hitRate(fitChoices(shuffled), choices);
    });
    // Weights learned from noise point anywhere, sometimes by luck the right way: only their mean says something.
    expect(mean(rates)).toBeLessThan(chanceRate(choices) + 0.1);
  });
});

/** Share of the choices whose most probable option is the one that was taken. */
function hitRate(weights: Float64Array, choices: readonly Choice[]): number {
  const hits = choices.filter((choice) => {
    const probabilities = choiceProbabilities(weights, choice);
    return probabilities.indexOf(Math.max(...probabilities)) === choice.chosen;
  });
  return hits.length / choices.length;
}

function chanceRate(choices: readonly Choice[]): number {
  return mean(choices.map((choice) => 1 / choice.options.length));
}
