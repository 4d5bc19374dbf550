// What the traffic needs of the planner service: one plan, asked for over HTTP.

import type { Plan } from '#domain/planning/plan-shape.ts';
import type { PlanWish } from '#domain/planning/request-of-facts.ts';
import type { PlanRequest } from '#domain/planning/request-shape.ts';
import { type BusyRetryDeps, postUntilAnswered, systemRetryDeps } from '../workload-client/busy-retry.ts';
import { WorkloadRequestError } from '../workload-client/http-workload-port.ts';
import type { AssignedVariant } from '../workload-client/workload-port.ts';

export type PlanQuestion = {
  readonly household_id: string;
  /** Asked again with the same id it is the same plan. */
  readonly plan_id: string;
  readonly request: PlanWish;
};

/** The fields of an answer of POST /v1/plans that are used here. */
export type PlanReply = {
  readonly plan: Plan;
  readonly request: PlanRequest;
  readonly experiments: readonly AssignedVariant[];
  readonly planner: string;
  readonly fallback_reason: string | null;
  readonly latency_ms: number;
};

export type PlannerPort = {
  /** Asks again while the service is busy or away, for a minute. */
  readonly plan: (question: PlanQuestion) => Promise<PlanReply>;
};

export function createHttpPlannerPort(
  config: { readonly plannerUrl: string; readonly apiKey: string },
  deps: BusyRetryDeps = systemRetryDeps,
): PlannerPort {
  const url = new URL('/v1/plans', config.plannerUrl).href;
  return {
    plan: async (question) => {
      const answer = await postUntilAnswered({ url, apiKey: config.apiKey, body: question }, deps);
      if (answer.status !== 200) throw new WorkloadRequestError('POST /v1/plans', answer);
      return answer.body as PlanReply;
    },
  };
}
