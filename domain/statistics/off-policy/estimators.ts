// The value that a target policy would have earned, estimated from decisions of another policy.
//
// Sources: Saito, Aihara, Matsutani, Narita 2021, "Open Bandit Dataset and Pipeline" and its estimators (obp, Apache-2.0);
// Horvitz-Thompson 1952 (IPS); Swaminathan-Joachims 2015 (SNIPS); Dudik et al. 2014 (doubly robust); Wang et al. 2017
// (Switch-DR); Su et al. 2020 (DRos, optimistic shrinkage); Li et al. 2011 (replay). w is the weight of a round, r its reward,
// q the modelled reward of the action taken and v the modelled value under the target policy.
import { type NotComputable, notComputable } from '../result.ts';
import type { PreparedRounds, RoundTerms } from './logged-rounds.ts';

/** `lambda` is a positive cut-off or shrinkage of the weights; infinity switches it off. */
export type OffPolicyEstimator =
  | { readonly kind: 'ips' }
  | { readonly kind: 'clipped-ips'; readonly lambda: number }
  | { readonly kind: 'snips' }
  | { readonly kind: 'direct-method' }
  | { readonly kind: 'doubly-robust' }
  | { readonly kind: 'self-normalized-doubly-robust' }
  | { readonly kind: 'switch-doubly-robust'; readonly lambda: number }
  | { readonly kind: 'shrinkage-doubly-robust'; readonly lambda: number }
  | { readonly kind: 'replay' };

const MODEL_BASED: readonly OffPolicyEstimator['kind'][] = [
  'direct-method',
  'doubly-robust',
  'self-normalized-doubly-robust',
  'switch-doubly-robust',
  'shrinkage-doubly-robust',
];

/**
 * A round's share of an estimate, which is mean(offset) + sum(value) / sum(scale). `offset` is the modelled value; `scale` is 1,
 * or the weight where the estimator is self-normalized.
 */
export type RoundContribution = { readonly offset: number; readonly value: number; readonly scale: number };

/** One contribution per round, in order. Self-normalized estimators scale by the weights, so a bootstrap must redo the division. */
export function roundContributions(
  rounds: PreparedRounds,
  estimator: OffPolicyEstimator,
): RoundContribution[] | NotComputable {
  if (!rounds.hasModel && MODEL_BASED.includes(estimator.kind)) {
    return notComputable('invalid-input', `${estimator.kind} needs a model of the rewards`);
  }
  if ('lambda' in estimator && !(estimator.lambda > 0)) {
    return notComputable('invalid-input', 'the limit of the weights is positive');
  }
  if (estimator.kind !== 'direct-method' && !rounds.terms.some((term) => usedWeight(term, estimator) > 0)) {
    return notComputable('no-overlap', 'the target policy never takes an action that was logged');
  }
  return rounds.terms.map((term) => contributionOf(term, estimator));
}

function usedWeight(term: RoundTerms, estimator: OffPolicyEstimator): number {
  return estimator.kind === 'replay' ? matches(term) : term.weight;
}

/** Replay uses the rounds in which a deterministic target policy agrees with the log. */
function matches(term: RoundTerms): number {
  return term.targetProbability === 1 ? 1 : 0;
}

function contributionOf(
  { reward: r, weight: w, modelledReward: q, modelledValue: v, targetProbability }: RoundTerms,
  estimator: OffPolicyEstimator,
): RoundContribution {
  switch (estimator.kind) {
    case 'ips':
      return { offset: 0, value: w * r, scale: 1 };
    case 'clipped-ips':
      return { offset: 0, value: Math.min(w, estimator.lambda) * r, scale: 1 };
    case 'snips':
      return { offset: 0, value: w * r, scale: w };
    case 'direct-method':
      return { offset: v, value: 0, scale: 1 };
    case 'doubly-robust':
      return { offset: v, value: w * (r - q), scale: 1 };
    case 'self-normalized-doubly-robust':
      return { offset: v, value: w * (r - q), scale: w };
    case 'switch-doubly-robust':
      return { offset: v, value: w <= estimator.lambda ? w * (r - q) : 0, scale: 1 };
    case 'shrinkage-doubly-robust': {
      const { lambda } = estimator;
      const shrunk = lambda === Number.POSITIVE_INFINITY ? w : (lambda * w) / (w * w + lambda);
      return { offset: v, value: shrunk * (r - q), scale: 1 };
    }
    case 'replay': {
      const match = targetProbability === 1 ? 1 : 0;
      return { offset: 0, value: match * r, scale: match };
    }
  }
}

export type OverlapDiagnostics = {
  readonly roundCount: number;
  /** (sum w)^2 / (sum w^2): how many rounds drawn from the target policy the log is worth (Kong 1992). */
  readonly effectiveSampleSize: number;
  readonly largestWeight: number;
  /** About 1 when the logging probabilities are right. */
  readonly meanWeight: number;
  /** Share of rounds whose action the target policy can take. */
  readonly supportedShare: number;
};

/** How well the log covers the target policy; look at it before believing an estimate. */
export function overlapDiagnostics(rounds: PreparedRounds): OverlapDiagnostics {
  let sum = 0;
  let squares = 0;
  let largest = 0;
  let supported = 0;
  for (const { weight } of rounds.terms) {
    sum += weight;
    squares += weight * weight;
    largest = Math.max(largest, weight);
    if (weight > 0) supported += 1;
  }
  const roundCount = rounds.terms.length;
  return {
    roundCount,
    effectiveSampleSize: squares === 0 ? 0 : (sum * sum) / squares,
    largestWeight: largest,
    meanWeight: sum / roundCount,
    supportedShare: supported / roundCount,
  };
}
