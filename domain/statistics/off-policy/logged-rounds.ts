// Logged decisions as off-policy estimators need them: what was done with which probability, and what another policy would do.
import { type NotComputable, notComputable } from '../result.ts';

/**
 * Rounds as columns of equal length. `loggingProbability` is the probability with which the logging policy took the
 * action it took; `targetProbabilities` are the target policy's probabilities of every action in that round.
 * `expectedRewards` is a model of the reward of every action in that round; only the model-based estimators need it.
 */
export type LoggedRounds = {
  readonly rewards: readonly number[];
  readonly actions: readonly number[];
  readonly loggingProbabilities: readonly number[];
  readonly targetProbabilities: readonly (readonly number[])[];
  readonly expectedRewards?: readonly (readonly number[])[];
};

/** One round reduced to what the estimators use. */
export type RoundTerms = {
  readonly reward: number;
  /** Target probability over logging probability of the action taken. */
  readonly weight: number;
  /** Probability with which the target policy takes the action that was logged. */
  readonly targetProbability: number;
  /** Modelled reward of the action taken; 0 without a model. */
  readonly modelledReward: number;
  /** Modelled reward under the target policy's probabilities; 0 without a model. */
  readonly modelledValue: number;
};

export type PreparedRounds = { readonly hasModel: boolean; readonly terms: readonly RoundTerms[] };

/** Checks the columns and reduces them; a refusal names the first round that is wrong. */
export function prepareRounds(rounds: LoggedRounds): PreparedRounds | NotComputable {
  const { rewards, actions, loggingProbabilities, targetProbabilities, expectedRewards } = rounds;
  if (rewards.length === 0) return notComputable('no-data', 'there are no logged rounds');
  const columns = [actions, loggingProbabilities, targetProbabilities, ...(expectedRewards ? [expectedRewards] : [])];
  if (columns.some((column) => column.length !== rewards.length)) {
    return notComputable('invalid-input', 'the columns of the logged rounds differ in length');
  }
  const terms: RoundTerms[] = [];
  for (const [i, reward] of rewards.entries()) {
    const action = actions[i]!;
    const loggingProbability = loggingProbabilities[i]!;
    const target = targetProbabilities[i]!;
    const targetProbability = target[action];
    if (targetProbability === undefined)
      return notComputable('invalid-input', `round ${i} has an unknown action ${action}`);
    if (!(loggingProbability > 0 && loggingProbability <= 1)) {
      return notComputable('invalid-input', `round ${i} has a logging probability of ${loggingProbability}`);
    }
    if (!Number.isFinite(reward)) return notComputable('invalid-input', `round ${i} has a reward of ${reward}`);
    const model = expectedRewards?.[i];
    const mass = target.reduce((sum, probability) => sum + probability, 0);
    if (target.some((probability) => !(probability >= 0)) || Math.abs(mass - 1) > 1e-6) {
      return notComputable('invalid-input', `the target probabilities of round ${i} do not sum to one`);
    }
    terms.push({
      reward,
      weight: targetProbability / loggingProbability,
      targetProbability,
      modelledReward: model?.[action] ?? 0,
      modelledValue: model ? target.reduce((sum, probability, a) => sum + probability * (model[a] ?? 0), 0) / mass : 0,
    });
  }
  return { hasModel: expectedRewards !== undefined, terms };
}
