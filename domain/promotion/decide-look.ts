// What one look at a promotion decides: a step, a wait, a hold for a person, or that it is over; pure, so that every rule can be tested.
import { formatBasisPoints } from '#domain/assignment/basis-points.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import { findNextStep, type RampPlan } from './ramp-plan.ts';

export type GuardrailState = {
  readonly metric: string;
  readonly state: 'holds' | 'open' | 'broken' | 'unknown';
  /** For people: what the data say of it. */
  readonly text: string;
};

export type LookState = {
  readonly status: Experiment['status'];
  readonly serving: Experiment['serving']['mode'];
  readonly plan: RampPlan;
  /** What the candidate gets now, in basis points of all units. */
  readonly share: number;
  /** Units that were assigned since the step began and met their variant. */
  readonly units: { readonly control: number; readonly candidate: number };
  readonly secondsInStep: number;
  /** What a broken guardrail stopped, in words; null when none did. */
  readonly latch: string | null;
  /** Why nobody watches the guardrails at the moment; null while they are watched. */
  readonly unwatched: string | null;
  readonly guardrails: readonly GuardrailState[];
  /** What is wrong with the split of units over the variants; null when nothing is known to be. */
  readonly sampleRatio: string | null;
  readonly isApproved: boolean;
};

export type LookDecision =
  | { readonly action: 'step'; readonly share: number }
  /** Every reason, so that nobody finds the next one only after the first is gone. */
  | { readonly action: 'wait'; readonly reasons: readonly string[] }
  | { readonly action: 'hold'; readonly reasons: readonly string[] }
  | { readonly action: 'rolled-back'; readonly reasons: readonly string[] }
  /** The last step has what it needs: a person finishes the promotion. */
  | { readonly action: 'done'; readonly reasons: readonly string[] };

/** Never skips a step, never lowers the share, and raises it only on evidence from guardrails that are watched. */
export function decideLook(state: LookState): LookDecision {
  const { plan, share, serving, status, latch } = state;
  if (latch !== null) return { action: 'rolled-back', reasons: [latch] };
  if (serving !== 'as_assigned' || (status !== 'running' && status !== 'paused')) {
    return { action: 'rolled-back', reasons: [`the experiment is ${status} and serves ${serving}`] };
  }
  const reasons = listWaitReasons(state);
  if (reasons.length > 0) return { action: 'wait', reasons };
  const next = findNextStep(plan, share);
  if (next === null) {
    return {
      action: 'done',
      reasons: [`the candidate has held at ${formatBasisPoints(share)} of traffic, the last step`],
    };
  }
  if (plan.holdAbove !== null && next > plan.holdAbove && !state.isApproved) {
    return {
      action: 'hold',
      reasons: [
        `the next step is ${formatBasisPoints(next)} of traffic, and a person has to approve more than ${formatBasisPoints(plan.holdAbove)}`,
      ],
    };
  }
  return { action: 'step', share: next };
}

function listWaitReasons({
  status,
  plan,
  units,
  secondsInStep,
  unwatched,
  guardrails,
  sampleRatio,
}: LookState): string[] {
  const reasons: string[] = [];
  if (status === 'paused') reasons.push('the experiment is paused');
  if (unwatched !== null) reasons.push(unwatched);
  if (sampleRatio !== null) reasons.push(sampleRatio);
  for (const { metric, state, text } of guardrails) {
    if (state === 'broken') reasons.push(`guardrail ${metric} is broken, and the monitor is about to stop it: ${text}`);
    if (state === 'unknown') reasons.push(`guardrail ${metric} cannot be judged: ${text}`);
  }
  for (const name of ['control', 'candidate'] as const) {
    if (units[name] < plan.minUnits) {
      reasons.push(`${name} has met ${units[name]} new units in this step, and ${plan.minUnits} are wanted`);
    }
  }
  const left = plan.minSeconds - secondsInStep;
  if (left > 0) reasons.push(`the step has lasted ${Math.floor(secondsInStep)} of ${plan.minSeconds} s`);
  return reasons;
}
