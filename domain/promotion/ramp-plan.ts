// The plan of a ramp: which shares of traffic a candidate gets, in which order, and what each step needs before the next one.
import { FULL_SHARE, formatBasisPoints, parseBasisPoints } from '#domain/assignment/basis-points.ts';
import { STARTING_SHARE_LIMIT } from '#domain/experiment/traffic-share.ts';
import type { JsonObject } from '#domain/targeting/condition.ts';

/** Basis points of the enrolled units that control and candidate get each. */
export const ARM_ALLOCATION = FULL_SHARE / 2;

export type RampPlan = {
  /** Shares of all units that the candidate gets, in basis points, rising. */
  readonly steps: readonly number[];
  /** A person has to approve before the candidate gets more than this share, in basis points; null: never. */
  readonly holdAbove: number | null;
  /** Units that each variant meets during a step before the next one. */
  readonly minUnits: number;
  readonly minSeconds: number;
};

/** As people write it: shares are decimals. What is absent has its default. */
export type RampRequest = {
  readonly steps?: readonly number[] | undefined;
  readonly holdAbove?: number | null | undefined;
  readonly minUnits?: number | undefined;
  readonly minSeconds?: number | undefined;
};

export const defaultRampPlan: RampPlan = {
  steps: [100, 500, 1_000, 2_500, 5_000],
  holdAbove: STARTING_SHARE_LIMIT,
  minUnits: 100,
  minSeconds: 3_600,
};

export type RampProblem = {
  readonly field: 'steps' | 'hold_above' | 'min_units' | 'min_seconds';
  readonly message: string;
};

/** The coverage at which a variant with half of the enrolled units gets this share of all units; both in basis points. */
export function coverageOfShare(share: number): number {
  return (share * FULL_SHARE) / ARM_ALLOCATION;
}

/** The plan that is asked for, or everything that is wrong with it. */
export function parseRampPlan(
  request: RampRequest,
): { readonly ok: true; readonly plan: RampPlan } | { readonly ok: false; readonly problems: readonly RampProblem[] } {
  const problems: RampProblem[] = [];
  const toShare = (field: 'steps' | 'hold_above', value: number): number => {
    const parsed = parseBasisPoints(value);
    if (parsed.status === 'parsed') return parsed.basisPoints;
    problems.push({ field, message: parsed.message });
    return 0;
  };
  const steps = request.steps?.map((share) => toShare('steps', share)) ?? defaultRampPlan.steps;
  const holdAbove =
    request.holdAbove === undefined
      ? defaultRampPlan.holdAbove
      : request.holdAbove === null
        ? null
        : toShare('hold_above', request.holdAbove);
  const plan = {
    steps,
    holdAbove,
    minUnits: request.minUnits ?? defaultRampPlan.minUnits,
    minSeconds: request.minSeconds ?? defaultRampPlan.minSeconds,
  };
  if (problems.length === 0) problems.push(...findStepProblems(steps));
  for (const [field, value] of [
    ['min_units', plan.minUnits],
    ['min_seconds', plan.minSeconds],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 0)
      problems.push({ field, message: `${value} is not a whole number from 0 on` });
  }
  return problems.length === 0 ? { ok: true, plan } : { ok: false, problems };
}

function findStepProblems(steps: readonly number[]): RampProblem[] {
  const problem = (message: string): RampProblem[] => [{ field: 'steps', message }];
  const [first] = steps;
  if (first === undefined) return problem('a ramp has at least one step');
  if (first <= 0) return problem('the first step has to give the candidate some traffic');
  if (first > STARTING_SHARE_LIMIT) {
    return problem(
      `the first step is ${formatBasisPoints(first)}, and a new version starts at no more than ${formatBasisPoints(STARTING_SHARE_LIMIT)} of traffic`,
    );
  }
  const wrong = steps.findIndex((share, index) => index > 0 && share <= steps[index - 1]!);
  if (wrong !== -1) {
    return problem(
      `steps have to rise, and ${formatBasisPoints(steps[wrong]!)} follows ${formatBasisPoints(steps[wrong - 1]!)}`,
    );
  }
  const last = steps.at(-1)!;
  if (last > ARM_ALLOCATION) {
    return problem(
      `the last step is ${formatBasisPoints(last)}, and control keeps as much as the candidate, so ${formatBasisPoints(ARM_ALLOCATION)} is the most`,
    );
  }
  return [];
}

/** The plan as the experiment's `ramp` keeps it. */
export function toRampDocument(plan: RampPlan): JsonObject {
  return {
    kind: 'promotion',
    steps: plan.steps.map((share) => share / FULL_SHARE),
    hold_above: plan.holdAbove === null ? null : plan.holdAbove / FULL_SHARE,
    min_units: plan.minUnits,
    min_seconds: plan.minSeconds,
  };
}

/** The plan of a promotion's experiment, or null when its ramp is none. */
export function fromRampDocument(ramp: JsonObject | null): RampPlan | null {
  if (ramp === null || ramp.kind !== 'promotion') return null;
  const parsed = parseRampPlan({
    steps: ramp.steps as readonly number[],
    holdAbove: ramp.hold_above as number | null,
    minUnits: ramp.min_units as number,
    minSeconds: ramp.min_seconds as number,
  });
  return parsed.ok ? parsed.plan : null;
}

/** The step that follows this share, in basis points; null at the end of the ramp. */
export function findNextStep(plan: RampPlan, share: number): number | null {
  return plan.steps.find((step) => step > share) ?? null;
}
