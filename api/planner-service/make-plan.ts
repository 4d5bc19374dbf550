// Makes one plan: the model when one is meant and answers in time, else the rules; then the validator and the scores.
import { assessPlan } from '#domain/offline-evaluation/plan-quality.ts';
import type { Catalogue } from '#domain/planning/catalogue.ts';
import { serializeModelInput, toModelInput } from '#domain/planning/model-input.ts';
import { planOfModel } from '#domain/planning/plan-of-model.ts';
import type { PlannedPlan } from '#domain/planning/plan-validator.ts';
import type { PlanRequest } from '#domain/planning/request-shape.ts';
import { defaultPlannerConfig, planByRules } from '#domain/planning/rule-based-planner.ts';
import { createRandom } from '#domain/planning/seeded-random.ts';
import type { FallbackReason } from './fallback-reason.ts';
import type { InferenceClient, InferenceRequest } from './inference-client.ts';
import type { PlannerChoice } from './resolve-planner.ts';

export const rulesName = 'rule-based';

export type MadePlan = PlannedPlan & {
  /** What made it: the rules or a model version. */
  readonly planner: string;
  /** Of the rules. */
  readonly temperature: number | null;
  readonly costUsd: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly fallback: { readonly reason: FallbackReason; readonly detail: string } | null;
};

export type TokenPrices = { readonly inputPriceUsd: number; readonly outputPriceUsd: number };

/** USD of a plan: tokens by the price of a million of them. Rules read no tokens. */
export function costOfTokens(
  tokens: { readonly tokensIn: number; readonly tokensOut: number },
  { inputPriceUsd, outputPriceUsd }: TokenPrices,
): number {
  return (tokens.tokensIn * inputPriceUsd + tokens.tokensOut * outputPriceUsd) / 1_000_000;
}

export type ModelAttempt =
  | { readonly ok: true; readonly planned: PlannedPlan; readonly tokensIn: number; readonly tokensOut: number }
  | {
      readonly ok: false;
      readonly reason: FallbackReason;
      readonly detail: string;
      /** What was paid for an answer that could not be used. */
      readonly tokensIn: number;
      readonly tokensOut: number;
    };

/** A plan of the model that breaks no rule which could have been kept, or why there is none. Never throws. */
export async function tryModel(
  inference: InferenceClient,
  ask: Omit<InferenceRequest, 'inputText'>,
  request: PlanRequest,
  catalogue: Catalogue,
): Promise<ModelAttempt> {
  const inputText = serializeModelInput(toModelInput(request, catalogue));
  const result = await inference.plan({ ...ask, inputText });
  if (!result.ok) return { ...result, tokensIn: 0, tokensOut: 0 };
  const tokens = { tokensIn: result.answer.tokens_in, tokensOut: result.answer.tokens_out };
  const made = planOfModel(result.answer, request, catalogue);
  if (!made.ok) return { ok: false, reason: 'invalid-answer', detail: made.problem, ...tokens };
  const { avoidableViolations } = assessPlan(made.planned.plan, { request, finalPlan: null, catalogue });
  const [broken] = avoidableViolations;
  if (broken === undefined) return { ok: true, planned: made.planned, ...tokens };
  const detail = `its plan breaks a rule that could have been kept: ${broken.kind} in ${broken.slot_id ?? 'the plan'}`;
  return { ok: false, reason: 'invalid-answer', detail, ...tokens };
}

/** The same plan id, request and choice give the same plan of the rules. */
export async function makePlan(
  choice: PlannerChoice,
  about: { readonly planId: string; readonly request: PlanRequest; readonly catalogue: Catalogue },
  deps: { readonly inference: InferenceClient; readonly deadlineMs: number; readonly prices: TokenPrices },
): Promise<MadePlan> {
  const { planId, request, catalogue } = about;
  const { model, parameters } = choice;
  const meant = choice.fallbackReason === null ? null : { reason: choice.fallbackReason, detail: '' };
  let spent = { tokensIn: 0, tokensOut: 0 };
  let fallback = meant;
  if (model !== null) {
    const attempt = await tryModel(
      deps.inference,
      { model, deadlineMs: parameters.deadline_ms ?? deps.deadlineMs, batchWaitMs: parameters.batch_wait_ms },
      request,
      catalogue,
    );
    spent = { tokensIn: attempt.tokensIn, tokensOut: attempt.tokensOut };
    if (attempt.ok) {
      const costUsd = costOfTokens(spent, deps.prices);
      return { ...attempt.planned, planner: model, temperature: null, costUsd, ...spent, fallback: meant };
    }
    fallback = { reason: attempt.reason, detail: attempt.detail };
  }
  const config = {
    temperature: parameters.temperature ?? defaultPlannerConfig.temperature,
    repetitionPenalty: parameters.repetition_penalty ?? defaultPlannerConfig.repetitionPenalty,
  };
  const planned = planByRules(request, { catalogue, random: createRandom(`planner-service/${planId}`), config });
  const costUsd = costOfTokens(spent, deps.prices);
  return { ...planned, planner: rulesName, temperature: config.temperature, costUsd, ...spent, fallback };
}
