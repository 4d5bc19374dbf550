// One plan of the test split after the replay: what was logged, and what model and baseline make of the same request.

import type { ModelInput } from '#domain/planning/model-input.ts';
import type { Plan, SlotChoice } from '#domain/planning/plan-shape.ts';
import type { PlanRequest } from '#domain/planning/request-shape.ts';
import type { PlanQuality } from './plan-quality.ts';

/** A plan as the dataset has it. */
export type LoggedPlan = {
  readonly planId: string;
  readonly householdId: string;
  readonly request: PlanRequest;
  readonly modelInput: ModelInput;
  /** How the slots were filled, with the propensities of the policy that was at work. */
  readonly choices: readonly SlotChoice[];
  readonly finalPlan: Plan | null;
  /** Slots that the household changed; null while it has not answered. */
  readonly editedSlots: readonly string[] | null;
};

/** What a planner answered. */
export type PlannerAnswer = {
  /** As it would be served: only allowed candidates, and the validator keeps the budget. */
  readonly plan: Plan;
  /** The planner's own choice among all candidates, with nothing that keeps it from breaking rules. */
  readonly unconstrainedPlan: Plan;
  /** Slots that the validator changed. */
  readonly interventions: number;
  /** Per slot, the probability of each candidate; null where the planner has none to tell. */
  readonly probabilities: readonly (readonly number[])[] | null;
  readonly latencyMs: number | null;
};

export type AssessedAnswer = PlannerAnswer & {
  readonly quality: PlanQuality;
  readonly unconstrainedQuality: PlanQuality;
};

export type ReplayedPlan = LoggedPlan & { readonly model: AssessedAnswer; readonly baseline: AssessedAnswer };
