// The click rate of one policy of the Open Bandit data, estimated from the log of the other: target probabilities, reward model, estimates.
//
// Source: Saito, Aihara, Matsutani, Narita 2021, "Open Bandit Dataset and Pipeline". Within a position, the target policy is taken to draw
// items with the frequencies that its own rows show: its choices depend on the user too, so this is its average behaviour.
import type { OffPolicyEstimator } from '#domain/statistics/off-policy/estimators.ts';
import type { LoggedRounds } from '#domain/statistics/off-policy/logged-rounds.ts';
import {
  estimatePolicyValueWithInterval,
  type PolicyValueWithInterval,
} from '#domain/statistics/off-policy/policy-value.ts';
import { computed, notComputable, type Outcome } from '#domain/statistics/result.ts';
import { normalQuantile } from '#domain/statistics/special-functions.ts';

export type Impression = {
  readonly itemId: string;
  readonly position: number;
  readonly click: number;
  /** Probability with which the policy that was at work chose the item. */
  readonly propensity: number;
};

export type MeasuredRate = {
  readonly value: number;
  readonly lower: number;
  readonly upper: number;
  readonly impressions: number;
};

export type PolicyComparison = {
  readonly measured: Outcome<MeasuredRate>;
  readonly estimates: readonly {
    readonly estimator: OffPolicyEstimator['kind'];
    readonly value: Outcome<PolicyValueWithInterval>;
  }[];
};

/** Weights above it are cut off, or trusted to the model only: ten times as likely under the target policy. */
const lambda = 10;
const estimators: readonly OffPolicyEstimator[] = [
  { kind: 'snips' },
  { kind: 'ips' },
  { kind: 'clipped-ips', lambda },
  { kind: 'direct-method' },
  { kind: 'doubly-robust' },
  { kind: 'switch-doubly-robust', lambda },
  { kind: 'shrinkage-doubly-robust', lambda },
];

/** Estimates the click rate of `target` from `logged`, beside what `target` measured itself. */
export function comparePolicies(
  logged: readonly Impression[],
  target: readonly Impression[],
  options: { readonly seed: number; readonly samples?: number },
): PolicyComparison {
  const rounds = toLoggedRounds(logged, target);
  return {
    measured: measureRate(target),
    estimates: estimators.map((estimator) => ({
      estimator: estimator.kind,
      value: 'status' in rounds ? rounds : estimatePolicyValueWithInterval(rounds, estimator, options),
    })),
  };
}

/** The share of clicks with the Wilson score interval (Wilson 1927), which holds for rare clicks too. */
export function measureRate(impressions: readonly Impression[]): Outcome<MeasuredRate> {
  const count = impressions.length;
  if (count === 0) return notComputable('no-data', 'the policy has no impressions');
  const value = impressions.reduce((sum, { click }) => sum + click, 0) / count;
  const z = normalQuantile(0.975);
  const center = (value + z ** 2 / (2 * count)) / (1 + z ** 2 / count);
  const half = (z / (1 + z ** 2 / count)) * Math.sqrt((value * (1 - value)) / count + z ** 2 / (4 * count ** 2));
  return computed({ value, lower: Math.max(0, center - half), upper: center + half, impressions: count });
}

function toLoggedRounds(
  logged: readonly Impression[],
  target: readonly Impression[],
): LoggedRounds | ReturnType<typeof notComputable> {
  if (logged.length === 0) return notComputable('no-data', 'the log has no impressions');
  if (target.length === 0)
    return notComputable('no-data', 'nothing is known of the target policy: it has no impressions');
  const items = [...new Set([...logged, ...target].map(({ itemId }) => itemId))].sort();
  const indexOf = new Map(items.map((item, index) => [item, index]));
  const frequencies = new Map<number, number[]>();
  for (const [position, shown] of Map.groupBy(target, (impression) => impression.position)) {
    const counts = new Array<number>(items.length).fill(0);
    for (const { itemId } of shown) counts[indexOf.get(itemId)!]! += 1;
    frequencies.set(
      position,
      counts.map((shownCount) => shownCount / shown.length),
    );
  }
  const usable = logged.filter(({ position }) => frequencies.has(position));
  if (usable.length === 0)
    return notComputable('no-overlap', 'the target policy shows nothing in the positions of the log');
  return {
    rewards: usable.map(({ click }) => click),
    actions: usable.map(({ itemId }) => indexOf.get(itemId)!),
    loggingProbabilities: usable.map(({ propensity }) => propensity),
    targetProbabilities: usable.map(({ position }) => frequencies.get(position)!),
    expectedRewards: modelRewards(usable, items, indexOf),
  };
}

/**
 * Click rates by item and position, smoothed towards the overall rate with the weight of 100 impressions. Each half of the log is
 * modelled by the other half, so that a round does not predict itself.
 */
function modelRewards(
  logged: readonly Impression[],
  items: readonly string[],
  indexOf: ReadonlyMap<string, number>,
): (readonly number[])[] {
  const overall = logged.reduce((sum, { click }) => sum + click, 0) / logged.length;
  const prior = 100;
  const models = [0, 1].map((half) => {
    const byPosition = new Map<number, { clicks: number[]; shown: number[] }>();
    for (const [index, { itemId, position, click }] of logged.entries()) {
      if (index % 2 === half) continue;
      const sums = byPosition.get(position) ?? {
        clicks: new Array<number>(items.length).fill(0),
        shown: new Array<number>(items.length).fill(0),
      };
      sums.clicks[indexOf.get(itemId)!]! += click;
      sums.shown[indexOf.get(itemId)!]! += 1;
      byPosition.set(position, sums);
    }
    return new Map(
      [...byPosition].map(([position, { clicks, shown }]) => [
        position,
        clicks.map((sum, item) => (sum + prior * overall) / (shown[item]! + prior)),
      ]),
    );
  });
  const unknown = items.map(() => overall);
  return logged.map(({ position }, index) => models[index % 2]!.get(position) ?? unknown);
}
