// One request from its arrival to its answer: facts, assignment, plan, events.
import { v7 } from 'uuid';
import { RequestError } from '#api/request-error.ts';
import { formatPolicyVersion } from '#domain/definitions/policy.ts';
import { toRequestContext } from '#domain/planning/request-context.ts';
import { describeError } from '#platform/errors.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import { type AskAssignments, type HouseholdAssignments, toExperimentRefs } from './assignment-client.ts';
import type { EventOutlet } from './event-outlet.ts';
import { fallbackReasons } from './fallback-reason.ts';
import type { InferenceClient } from './inference-client.ts';
import { makePlan, type TokenPrices } from './make-plan.ts';
import { type ServedPlan, toPlanEvents } from './plan-events.ts';
import type { PolicyDirectory } from './policy-directory.ts';
import { createRequestReader, type RequestReaderDeps } from './read-request.ts';
import { type PlannerChoice, resolvePlanner } from './resolve-planner.ts';
import { createSeldomLog } from './seldom-log.ts';
import type { Shadow } from './shadow.ts';
import type { PlanAnswer, PlanBody } from './wire-schemas.ts';

export type ServePlan = (body: PlanBody) => Promise<PlanAnswer>;

export type ServePlanDeps = Omit<RequestReaderDeps, 'nowMs'> & {
  policies: Pick<PolicyDirectory, 'current' | 'lookAgain'>;
  askAssignments: AskAssignments;
  inference: InferenceClient;
  outlet: Pick<EventOutlet, 'offer' | 'hasRoom'>;
  shadow: Pick<Shadow, 'follow'>;
  /** Name of the rules in the model registry. */
  rulesModelName: string;
  deadlineMs: number;
  prices: TokenPrices;
  maxInFlight: number;
  /** The clock that latency is measured by, and the one of the calendar. */
  clocks: { readonly monotonicMs: () => number; readonly epochMs: () => number };
  metrics: Metrics;
  log: Logger;
};

/** @throws RequestError for what the caller can do something about; a dependency's error when the household cannot be read. */
export function createServePlan(deps: ServePlanDeps): ServePlan {
  const { metrics, clocks } = deps;
  const readRequest = createRequestReader({ ...deps, nowMs: clocks.epochMs });
  const warn = createSeldomLog(deps.log, clocks.monotonicMs);
  const plans = metrics.counter('planner_plans_total', 'Plans served, by what made them', [
    'planner',
    'policy_version',
  ]);
  const fallbacks = metrics.counter('planner_fallbacks_total', 'Plans not made as they were meant to be', ['reason']);
  for (const reason of fallbackReasons) fallbacks.inc({ reason }, 0);
  const interventions = metrics.counter('planner_interventions_total', 'Slots that the validator replaced');
  const unassigned = metrics.counter(
    'planner_assignment_failures_total',
    'Plans served in no experiment because the assignment service did not answer',
  );
  const seconds = metrics.histogram('planner_plan_seconds', 'From a request to its plan', ['planner']);
  const cost = metrics.counter('planner_cost_usd_total', 'What the tokens of served plans cost, in USD');
  const refused = metrics.counter('planner_refused_plans_total', 'Plans refused with 503 before they began', [
    'reason',
  ]);
  for (const reason of ['in-flight', 'waiting-events']) refused.inc({ reason }, 0);
  const inFlightGauge = metrics.gauge('planner_in_flight_plans', 'Plans under way now');
  let inFlight = 0;

  const serve = async (body: PlanBody): Promise<PlanAnswer> => {
    const startedAt = clocks.monotonicMs();
    const planId = body.plan_id ?? v7();
    const { request, catalogue } = await readRequest(body, planId);
    const assigned = await deps.askAssignments(body.household_id, toRequestContext(request));
    if (assigned.problem !== null) {
      unassigned.inc();
      warn('assignment', { cause: assigned.problem }, 'the assignment service did not answer');
    }
    const choice = await choosePlanner(deps, assigned);
    const made = await makePlan(choice, { planId, request, catalogue }, deps);
    const latencyMs = clocks.monotonicMs() - startedAt;
    const experiments = toExperimentRefs(assigned.assignments);
    const served: ServedPlan = { planId, request, catalogue, choice, made, experiments, latencyMs };
    deps.outlet.offer(toPlanEvents(served));
    deps.shadow.follow(served);

    const policyVersion = choice.version === null ? null : formatPolicyVersion(choice.version);
    plans.inc({ planner: made.planner, policy_version: policyVersion ?? 'none' });
    seconds.observe({ planner: made.planner }, latencyMs / 1_000);
    interventions.inc(made.interventions);
    cost.inc(made.costUsd);
    if (made.fallback !== null) {
      fallbacks.inc({ reason: made.fallback.reason });
      const kind = `${made.fallback.reason}/${choice.model}`;
      warn(kind, { ...made.fallback, policyVersion, model: choice.model }, 'a plan was not made as it was meant to be');
    }
    return {
      plan_id: planId,
      plan: made.plan,
      request,
      assignment:
        choice.assignment === null
          ? null
          : { experiment_key: choice.assignment.experiment_key, variant_name: choice.assignment.variant_name },
      experiments: experiments.map((ref, index) => ({
        ...ref,
        variant_name: assigned.assignments[index]!.variant_name,
      })),
      policy_version: policyVersion,
      model: choice.model,
      planner: made.planner,
      latency_ms: latencyMs,
      cost_usd: made.costUsd,
      interventions: made.interventions,
      fallback_reason: made.fallback?.reason ?? null,
    };
  };

  return async (body) => {
    const isBusy = inFlight >= deps.maxInFlight;
    if (isBusy || !deps.outlet.hasRoom()) {
      refused.inc({ reason: isBusy ? 'in-flight' : 'waiting-events' });
      throw new RequestError(503, {
        code: 'overloaded',
        message: 'too many plans are under way or too many events wait: come back after the seconds in Retry-After',
      });
    }
    inFlight += 1;
    inFlightGauge.set(inFlight);
    try {
      return await serve(body);
    } finally {
      inFlight -= 1;
      inFlightGauge.set(inFlight);
    }
  };
}

/** A version that was made a moment ago may not be in memory yet. */
async function choosePlanner(deps: ServePlanDeps, assigned: HouseholdAssignments): Promise<PlannerChoice> {
  const choose = (): PlannerChoice => resolvePlanner(assigned, deps.policies.current(), deps.rulesModelName);
  const choice = choose();
  if (choice.fallbackReason !== 'unknown-policy-version') return choice;
  try {
    await deps.policies.lookAgain();
  } catch (error) {
    deps.log.warn({ cause: describeError(error) }, 'an unknown policy version cannot be looked up');
    return choice;
  }
  return choose();
}
