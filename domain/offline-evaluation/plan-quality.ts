// What one planned plan is worth: its scores, and the hard rules that it breaks although another plan would keep them.

import type { Catalogue } from '#domain/planning/catalogue.ts';
import { checkPlan, type Violation } from '#domain/planning/constraint-check.ts';
import {
  constraintRespectScore,
  diversityScore,
  editDistanceScore,
  leftoversUseScore,
  planAlignmentScore,
  type Score,
} from '#domain/planning/plan-scores.ts';
import type { Plan } from '#domain/planning/plan-shape.ts';
import { findAllowed, keepBudget } from '#domain/planning/plan-validator.ts';
import type { PlanRequest } from '#domain/planning/request-shape.ts';

/** Scores of a plan, all from 0 to 1, higher is better; null where there is none for this plan. */
export const scoreNames = [
  'plan_alignment_score',
  'constraint_respect_score',
  'edit_distance_score',
  'diversity_score',
  'leftovers_use_score',
] as const;
export type ScoreName = (typeof scoreNames)[number];

export type PlanQuality = {
  readonly scores: Readonly<Record<ScoreName, number | null>>;
  /** Hard rules that the plan breaks and that some plan of allowed candidates keeps. */
  readonly avoidableViolations: readonly Violation[];
};

const valueOrNull = (score: Score): number | null => (score.status === 'computed' ? score.value : null);

/** `finalPlan` is what the household cooks; null where it has not answered, and then nothing is known of edits. */
export function assessPlan(
  plan: Plan,
  about: { readonly request: PlanRequest; readonly finalPlan: Plan | null; readonly catalogue: Catalogue },
): PlanQuality {
  const { request, finalPlan, catalogue } = about;
  return {
    scores: {
      plan_alignment_score: planAlignmentScore(plan, request, catalogue),
      constraint_respect_score: constraintRespectScore(plan, request, catalogue),
      edit_distance_score: finalPlan === null ? null : editDistanceScore(plan, finalPlan),
      diversity_score: valueOrNull(diversityScore(plan, catalogue)),
      leftovers_use_score: valueOrNull(leftoversUseScore(plan, request, catalogue)),
    },
    avoidableViolations: findAvoidableViolations(plan, request, catalogue),
  };
}

/**
 * Broken hard rules without those that no planner can keep: a slot without an allowed candidate stays open, and a budget below
 * the cheapest allowed candidates is broken by every plan.
 */
function findAvoidableViolations(plan: Plan, request: PlanRequest, catalogue: Catalogue): Violation[] {
  const open = new Set(
    request.slots
      .filter((slot) => findAllowed(slot, request, catalogue).every((entry) => entry === null))
      .map(({ slot_id }) => slot_id),
  );
  const isUnavoidable = (violation: Violation): boolean =>
    (violation.kind === 'missing_slot' && open.has(violation.slot_id ?? '')) ||
    (violation.kind === 'budget' && !canKeepBudget(request, catalogue));
  return checkPlan(plan, request, catalogue).violations.filter(
    (violation) => violation.severity === 'hard' && !isUnavoidable(violation),
  );
}

/** The validator saves as much as can be saved, from wherever it starts. */
function canKeepBudget(request: PlanRequest, catalogue: Catalogue): boolean {
  const first = request.slots.map((slot) => {
    const recipe_id = findAllowed(slot, request, catalogue).find((entry) => entry !== null)?.recipe.recipe_id ?? null;
    return { slot_id: slot.slot_id, recipe_id, source: 'policy' as const, propensities: [], action_propensity: null };
  });
  const { plan } = keepBudget(first, request, catalogue);
  return checkPlan(plan, request, catalogue).violations.every(({ kind }) => kind !== 'budget');
}
