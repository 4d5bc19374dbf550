// Off-policy estimates on logs whose true policy value is known: how often the bootstrap interval holds it.
import type { OffPolicyEstimator } from '#domain/statistics/off-policy/estimators.ts';
import type { LoggedRounds } from '#domain/statistics/off-policy/logged-rounds.ts';
import { estimatePolicyValueWithInterval } from '#domain/statistics/off-policy/policy-value.ts';
import { createRandom, type RandomSource } from '#domain/statistics/random.ts';
import { type Finding, mustCompute } from './simulation.ts';

export type OffPolicyPlan = {
  readonly seed: number;
  readonly runs: number;
  readonly rounds: number;
  readonly resamples: number;
};

/** Two kinds of context, as likely as each other, and three actions: the true chance of a reward of 1. */
const REWARDS = [
  [0.2, 0.5, 0.35],
  [0.6, 0.3, 0.1],
] as const;
const LOGGING = [
  [0.5, 0.25, 0.25],
  [0.25, 0.5, 0.25],
] as const;
const TARGET = [
  [0.1, 0.7, 0.2],
  [0.8, 0.1, 0.1],
] as const;
/** A model of the rewards that is wrong everywhere, which doubly robust estimates forgive and the direct method does not. */
const MODEL = [
  [0.3, 0.4, 0.4],
  [0.4, 0.4, 0.3],
] as const;

export const TRUE_VALUE = TARGET.reduce(
  (sum, target, context) => sum + 0.5 * target.reduce((inner, p, action) => inner + p * REWARDS[context]![action]!, 0),
  0,
);

function drawLog(random: RandomSource, rounds: number): LoggedRounds {
  const log = {
    rewards: [] as number[],
    actions: [] as number[],
    loggingProbabilities: [] as number[],
    targetProbabilities: [] as (readonly number[])[],
    expectedRewards: [] as (readonly number[])[],
  };
  for (let i = 0; i < rounds; i++) {
    const context = random.integer(2);
    const probabilities = LOGGING[context]!;
    const u = random.next();
    const action = u < probabilities[0] ? 0 : u < probabilities[0] + probabilities[1] ? 1 : 2;
    log.rewards.push(random.next() < REWARDS[context]![action] ? 1 : 0);
    log.actions.push(action);
    log.loggingProbabilities.push(probabilities[action]);
    log.targetProbabilities.push(TARGET[context]!);
    log.expectedRewards.push(MODEL[context]!);
  }
  return log;
}

const UNBIASED: readonly OffPolicyEstimator[] = [
  { kind: 'ips' },
  { kind: 'snips' },
  { kind: 'doubly-robust' },
  { kind: 'self-normalized-doubly-robust' },
];

export function offPolicyCoverage(
  plan: OffPolicyPlan,
  estimator: OffPolicyEstimator,
): { coverage: number; mean: number } {
  const random = createRandom(plan.seed);
  let covered = 0;
  let sum = 0;
  for (let run = 0; run < plan.runs; run++) {
    const log = drawLog(random, plan.rounds);
    const options = { seed: plan.seed + run, samples: plan.resamples };
    const { interval, value } = mustCompute(estimatePolicyValueWithInterval(log, estimator, options));
    if (interval.lower <= TRUE_VALUE && TRUE_VALUE <= interval.upper) covered += 1;
    sum += value;
  }
  return { coverage: covered / plan.runs, mean: sum / plan.runs };
}

export function offPolicyFindings(plan: OffPolicyPlan): Finding[] {
  // Three standard errors of the simulation, and one percent that percentile intervals may be short of.
  const error = 3 * Math.sqrt((0.05 * 0.95) / plan.runs);
  const { runs } = plan;
  const findings = UNBIASED.map((estimator) => ({
    name: `coverage of 95 % bootstrap intervals: ${estimator.kind}`,
    measured: offPolicyCoverage(plan, estimator).coverage,
    least: 0.94 - error,
    most: 0.95 + error,
    runs,
  }));
  const direct = offPolicyCoverage(plan, { kind: 'direct-method' }).coverage;
  return [
    ...findings,
    { name: 'coverage of the direct method with a wrong model', measured: direct, least: 0, most: 0.5, runs },
  ];
}
