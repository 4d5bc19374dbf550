// The planners of a replay: the rule-based one of this release, and models of the registry.
import type { PlannerAnswer } from '#domain/offline-evaluation/replayed-plan.ts';
import type { Catalogue } from '#domain/planning/catalogue.ts';
import { planOfModel, recipesOf } from '#domain/planning/plan-of-model.ts';
import { planOfRecipes } from '#domain/planning/plan-validator.ts';
import { planByRules } from '#domain/planning/rule-based-planner.ts';
import { createRandom } from '#domain/planning/seeded-random.ts';
import { FatalError } from '#platform/errors.ts';
import type { TestSplit } from './read-test-split.ts';
import { type ModelAnswer, type ModelProcess, scoreCandidates } from './score-candidates.ts';

/** Draws anew: the logged plan would be near the final one by construction. Rules know no plan without constraints. */
export function planAllByRules({ plans, catalogueAt }: TestSplit, seed: number): PlannerAnswer[] {
  return plans.map(({ planId, request }) => {
    const random = createRandom(`offline-replay/${seed}/${planId}`);
    const { plan, interventions } = planByRules(request, { catalogue: catalogueAt(request.requested_at), random });
    return { plan, unconstrainedPlan: plan, interventions, probabilities: null, latencyMs: null };
  });
}

export async function planAllByModel(
  { plans, catalogueAt }: TestSplit,
  model: string,
  process: ModelProcess,
): Promise<PlannerAnswer[]> {
  const requests = plans.map(({ planId, modelInputText }) => ({ id: planId, inputText: modelInputText }));
  const answers = await scoreCandidates(model, requests, process);
  return answers.map((answer, index) => {
    const plan = plans[index]!;
    return toPlannerAnswer(answer, plan, catalogueAt(plan.request.requested_at));
  });
}

function toPlannerAnswer(
  { plan, free_plan, slots, latency_ms }: ModelAnswer,
  { planId, request }: Pick<TestSplit['plans'][number], 'planId' | 'request'>,
  catalogue: Catalogue,
): PlannerAnswer {
  const made = planOfModel({ slots, plan }, request, catalogue);
  if (!made.ok) throw new FatalError(`${made.problem} of plan ${planId}`, { code: 'unexpected' });
  return {
    plan: made.planned.plan,
    unconstrainedPlan: planOfRecipes(request, recipesOf(free_plan, request)),
    interventions: made.planned.interventions,
    probabilities: made.probabilities,
    latencyMs: latency_ms,
  };
}
