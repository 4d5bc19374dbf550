// What a model would have earned from the logged traffic, estimated from the propensities of the policy that was at work.
//
// Sources: Swaminathan, Joachims 2015 (SNIPS); Dudík, Langford, Li 2011 (doubly robust). The policy that is estimated draws each slot from
// the model's probabilities of the allowed candidates, independently of the slots before it.

import type { LoggedRounds } from '#domain/statistics/off-policy/logged-rounds.ts';
import {
  estimatePolicyValueWithInterval,
  type PolicyValueWithInterval,
} from '#domain/statistics/off-policy/policy-value.ts';
import { notComputable, type Outcome } from '#domain/statistics/result.ts';
import type { ResampleOptions } from './paired-difference.ts';
import type { ReplayedPlan } from './replayed-plan.ts';

export type LoggedValue = {
  /** Share of the slots that households kept under the logging policy; null without answered slots. */
  readonly measured: number | null;
  readonly rounds: number;
  readonly snips: Outcome<PolicyValueWithInterval>;
  readonly doublyRobust: Outcome<PolicyValueWithInterval>;
};

type Round = {
  readonly householdId: string;
  readonly kept: number;
  readonly action: number;
  readonly loggingProbability: number;
  readonly target: readonly number[];
  /** The word about fit of each candidate: what a model of the reward knows. */
  readonly fits: readonly string[];
};

/** The share of slots that households would keep. Slots that the validator filled are no decisions of the policy and are left out. */
export function estimateKeptSlots(plans: readonly ReplayedPlan[], options: ResampleOptions): LoggedValue {
  const rounds = plans.flatMap(toSlotRounds);
  const none = notComputable('no-data', 'no answered slot was filled with a known propensity');
  if (rounds.length === 0) return { measured: null, rounds: 0, snips: none, doublyRobust: none };
  const logged: LoggedRounds = {
    rewards: rounds.map(({ kept }) => kept),
    actions: rounds.map(({ action }) => action),
    loggingProbabilities: rounds.map(({ loggingProbability }) => loggingProbability),
    targetProbabilities: rounds.map(({ target }) => target),
    expectedRewards: modelRewards(rounds),
  };
  const clusters = rounds.map(({ householdId }) => householdId);
  const estimate = (kind: 'snips' | 'doubly-robust') =>
    estimatePolicyValueWithInterval(logged, { kind }, { ...options, clusters });
  return {
    measured: rounds.reduce((sum, { kept }) => sum + kept, 0) / rounds.length,
    rounds: rounds.length,
    snips: estimate('snips'),
    doublyRobust: estimate('doubly-robust'),
  };
}

/**
 * The share of plans that households would accept unchanged: a whole plan is one round, whose weight is the product over its
 * slots. With many slots few plans carry all the weight, and then there is no estimate.
 */
export function estimateAcceptance(
  plans: readonly ReplayedPlan[],
  options: ResampleOptions,
): Outcome<PolicyValueWithInterval> {
  const rounds = plans.flatMap((plan) => {
    const slots = toSlotRounds(plan);
    if (plan.editedSlots === null || slots.length !== plan.request.slots.length) return [];
    const product = (value: (round: Round) => number) => slots.reduce((result, slot) => result * value(slot), 1);
    return [
      {
        householdId: plan.householdId,
        accepted: plan.editedSlots.length === 0 ? 1 : 0,
        logging: product(({ loggingProbability }) => loggingProbability),
        target: product(({ target, action }) => target[action]!),
      },
    ];
  });
  return estimatePolicyValueWithInterval(
    {
      rewards: rounds.map(({ accepted }) => accepted),
      actions: rounds.map(() => 0),
      loggingProbabilities: rounds.map(({ logging }) => logging),
      // The plan that was logged, and every other one.
      targetProbabilities: rounds.map(({ target }) => [target, 1 - target]),
    },
    { kind: 'snips' },
    { ...options, clusters: rounds.map(({ householdId }) => householdId) },
  );
}

function toSlotRounds({ householdId, request, modelInput, choices, editedSlots, model }: ReplayedPlan): Round[] {
  if (editedSlots === null || model.probabilities === null) return [];
  return request.slots.flatMap((slot, index): Round[] => {
    const choice = choices.find(({ slot_id }) => slot_id === slot.slot_id);
    const candidates = modelInput.slots[index]?.candidates ?? [];
    const action = candidates.findIndex(({ recipe_id }) => recipe_id === choice?.recipe_id);
    const target = shareAmongAllowed(
      model.probabilities?.[index] ?? [],
      candidates.map(({ allowed }) => allowed),
    );
    if (choice?.source !== 'policy' || choice.action_propensity === null || action === -1 || target === null) return [];
    return [
      {
        householdId,
        kept: editedSlots.includes(slot.slot_id) ? 0 : 1,
        action,
        loggingProbability: choice.action_propensity,
        target,
        fits: candidates.map(({ text }) => text.split(' ', 1)[0] ?? ''),
      },
    ];
  });
}

function shareAmongAllowed(probabilities: readonly number[], allowed: readonly boolean[]): number[] | null {
  const kept = allowed.map((isAllowed, index) => (isAllowed ? (probabilities[index] ?? 0) : 0));
  const total = kept.reduce((sum, probability) => sum + probability, 0);
  return total > 0 ? kept.map((probability) => probability / total) : null;
}

/** Weight of the overall rate, in rounds, so that rare words do not decide alone. */
const priorRounds = 20;

/**
 * The reward of a candidate is the share of kept slots among those with its word about fit. Each half of the households is
 * modelled by the other half, so that no round predicts itself.
 */
function modelRewards(rounds: readonly Round[]): (readonly number[])[] {
  const overall = rounds.reduce((sum, { kept }) => sum + kept, 0) / rounds.length;
  const households = [...new Set(rounds.map(({ householdId }) => householdId))];
  const halfOf = new Map(households.map((householdId, index) => [householdId, index % 2]));
  const rates = [0, 1].map((half) => {
    const byFit = new Map<string, { kept: number; rounds: number }>();
    for (const { householdId, fits, action, kept } of rounds) {
      if (halfOf.get(householdId) === half) continue;
      const fit = fits[action] ?? '';
      const sums = byFit.get(fit) ?? { kept: 0, rounds: 0 };
      byFit.set(fit, { kept: sums.kept + kept, rounds: sums.rounds + 1 });
    }
    return (fit: string): number => {
      const sums = byFit.get(fit) ?? { kept: 0, rounds: 0 };
      return (sums.kept + priorRounds * overall) / (sums.rounds + priorRounds);
    };
  });
  return rounds.map(({ householdId, fits }) => fits.map(rates[halfOf.get(householdId)!]!));
}
