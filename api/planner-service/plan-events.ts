// The events of a served plan, as the planner's traffic has always sent them: the exposure, and the plan with its request and choices.
import { idOfName } from '#domain/assignment/deterministic-ids.ts';
import { formatPolicyVersion } from '#domain/definitions/policy.ts';
import { assessPlan } from '#domain/offline-evaluation/plan-quality.ts';
import type { Catalogue } from '#domain/planning/catalogue.ts';
import type { PlanGeneratedPayload, PlanPolicy } from '#domain/planning/plan-shape.ts';
import { toRequestContext } from '#domain/planning/request-context.ts';
import type { PlanRequest } from '#domain/planning/request-shape.ts';
import type { EventBody, ExperimentRef } from '#producers/workload-client/workload-port.ts';
import { householdUnitType } from './assignment-client.ts';
import type { MadePlan } from './make-plan.ts';
import type { PlannerChoice } from './resolve-planner.ts';

export type ServedPlan = {
  readonly planId: string;
  readonly request: PlanRequest;
  readonly catalogue: Catalogue;
  readonly choice: PlannerChoice;
  readonly made: MadePlan;
  readonly experiments: readonly ExperimentRef[];
  readonly latencyMs: number;
};

/** An event about a plan. Its id follows from the plan's: sent again, it is the same event. */
export function toPlanEvent(
  { planId, request, experiments }: Pick<ServedPlan, 'planId' | 'request' | 'experiments'>,
  event_type: string,
  content: Pick<EventBody, 'metrics' | 'payload'> & { readonly atMs: number },
): EventBody {
  const { atMs, ...rest } = content;
  return {
    event_id: idOfName(`planner-service/event/${planId}/${event_type}`),
    event_type,
    unit_type: householdUnitType,
    unit_id: request.household.household_id,
    experiments,
    context: toRequestContext(request),
    ...rest,
    timestamp: new Date(atMs).toISOString(),
  };
}

function toPolicy({ choice, made }: ServedPlan): PlanPolicy {
  const { version, model } = choice;
  return {
    name: made.planner,
    ...(made.temperature === null ? {} : { temperature: made.temperature }),
    ...(version === null
      ? {}
      : { policy_version: formatPolicyVersion(version), policy_version_id: version.policyVersionId }),
    ...(model === null ? {} : { model }),
    ...(made.fallback === null ? {} : { fallback_reason: made.fallback.reason }),
  };
}

export function toPlanEvents(served: ServedPlan): EventBody[] {
  const { planId, request, catalogue, made, experiments, latencyMs } = served;
  const requestedAtMs = Date.parse(request.requested_at);
  const { scores } = assessPlan(made.plan, { request, finalPlan: null, catalogue });
  const payload: PlanGeneratedPayload = {
    plan_id: planId,
    request,
    plan: made.plan,
    choices: [...made.choices],
    policy: toPolicy(served),
  };
  return [
    ...(experiments.length > 0 ? [toPlanEvent(served, 'exposure', { atMs: requestedAtMs, metrics: {} })] : []),
    toPlanEvent(served, 'plan_generated', {
      atMs: requestedAtMs + Math.max(1, Math.round(latencyMs)),
      metrics: {
        latency_ms: latencyMs,
        cost_usd: made.costUsd,
        validator_intervention: made.interventions > 0 ? 1 : 0,
        plan_alignment_score: scores.plan_alignment_score ?? 0,
        constraint_respect_score: scores.constraint_respect_score ?? 0,
        fallback: made.fallback === null ? 0 : 1,
      },
      payload,
    }),
  ];
}
