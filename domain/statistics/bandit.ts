// Allocation weights of a bandit: the probabilities that each arm is the best, or among the best two, under normal posteriors.
//
// Sources: Thompson 1933 (probability matching); Russo 2016, "Simple Bayesian algorithms for best arm identification"
// (top-two). Probabilities are integrated, not simulated: the same data give the same weights, without a seed.
import type { EffectPrior } from './bayesian.ts';
import type { Interval } from './hypothesis.ts';
import { computed, notComputable, type Outcome } from './result.ts';
import { normalCdf, normalDensity, normalQuantile } from './special-functions.ts';

/** `mean` and `variance` are those of one unit. */
export type BanditArm = { readonly count: number; readonly mean: number; readonly variance: number };

export type BanditOptions = {
  readonly alpha: number;
  /** Prior of an arm's mean; null is flat. */
  readonly prior: EffectPrior | null;
  readonly lowerIsBetter?: boolean;
  /** Weigh arms by their chance to be among the best two, which keeps a rival in play. Default true. */
  readonly topTwo?: boolean;
  /** Least weight of an arm, in 0..1; below 0 counts as 0. Default 0.01. */
  readonly smallestWeight?: number;
};

export type BanditResult = {
  readonly bestArmProbabilities: number[];
  /** Sums to 1; null until every arm has 100 units. */
  readonly weights: number[] | null;
  readonly intervals: Interval[];
};

/** Fewer units than this in any arm, and the weights stay as they are. */
export const SMALLEST_ARM = 100;

export function banditWeights(arms: readonly BanditArm[], options: BanditOptions): Outcome<BanditResult> {
  if (arms.length < 2) return notComputable('invalid-input', 'a bandit has two arms or more');
  const posteriors: { mean: number; deviation: number }[] = [];
  for (const [i, arm] of arms.entries()) {
    const dataPrecision = arm.variance > 0 ? arm.count / arm.variance : 0;
    const priorPrecision = options.prior === null ? 0 : 1 / options.prior.variance;
    const precision = dataPrecision + priorPrecision;
    if (!(precision > 0)) return notComputable('zero-variance', `arm ${i} has no values that vary, and no prior`);
    const mean = (dataPrecision * arm.mean + priorPrecision * (options.prior?.mean ?? 0)) / precision;
    posteriors.push({ mean, deviation: Math.sqrt(1 / precision) });
  }
  const sign = options.lowerIsBetter === true ? -1 : 1;
  const ranks = rankProbabilities(posteriors.map((arm) => ({ mean: sign * arm.mean, deviation: arm.deviation })));
  const first = ranks.map((rank) => rank.first);
  const raw = options.topTwo === false ? first : ranks.map((rank) => rank.first + rank.second);
  const z = -normalQuantile(options.alpha / 2);
  return computed({
    bestArmProbabilities: first,
    weights: arms.every((arm) => arm.count >= SMALLEST_ARM) ? withFloor(raw, options.smallestWeight ?? 0.01) : null,
    intervals: arms.map((arm, i) => ({
      lower: arm.mean - z * posteriors[i]!.deviation,
      upper: arm.mean + z * posteriors[i]!.deviation,
    })),
  });
}

/** Adds the floor instead of clipping to it, so that the arms above it keep their proportions. */
function withFloor(raw: readonly number[], smallestWeight: number): number[] {
  const floor = Math.max(0, smallestWeight);
  const reserved = floor * raw.length;
  if (reserved >= 1) return raw.map(() => 1 / raw.length);
  const total = raw.reduce((sum, weight) => sum + weight, 0);
  return raw.map((weight) => floor + (1 - reserved) * (weight / total));
}

type Posterior = { mean: number; deviation: number };

/** For each of some independent normal variables: the probability to be the largest, and the second largest. */
export function rankProbabilities(posteriors: readonly Posterior[]): { first: number; second: number }[] {
  return posteriors.map((arm, index) => {
    const others = posteriors.filter((_, other) => other !== index);
    let first = 0;
    let second = 0;
    integrate(breakpoints(arm, others), (x, weight) => {
      const density = (weight * normalDensity((x - arm.mean) / arm.deviation)) / arm.deviation;
      // Chance that none, and that exactly one, of the others is above x.
      let none = 1;
      let one = 0;
      for (const other of others) {
        const below = normalCdf((x - other.mean) / other.deviation);
        one = one * below + none * (1 - below);
        none *= below;
      }
      first += density * none;
      second += density * one;
    });
    return { first, second };
  });
}

/** Ends of pieces on which the integrand is smooth, also when one posterior is much narrower than another. */
function breakpoints(arm: Posterior, others: readonly Posterior[]): number[] {
  const low = arm.mean - 9 * arm.deviation;
  const high = arm.mean + 9 * arm.deviation;
  const points = [low, high];
  for (const { mean, deviation } of [arm, ...others]) {
    for (let z = -9; z <= 9; z += 1) points.push(mean + z * deviation);
  }
  return points.filter((point) => point >= low && point <= high).sort((a, b) => a - b);
}

/** Ten-point Gauss-Legendre nodes and weights on (-1, 1), the positive half (Abramowitz and Stegun, table 25.4). */
const LEGENDRE = [
  [0.14887433898163122, 0.29552422471475287],
  [0.4333953941292472, 0.26926671930999635],
  [0.6794095682990244, 0.21908636251598204],
  [0.8650633666889845, 0.1494513491505806],
  [0.9739065285171717, 0.06667134430868814],
] as const;

function integrate(points: readonly number[], visit: (x: number, weight: number) => void): void {
  for (let i = 1; i < points.length; i++) {
    const center = (points[i]! + points[i - 1]!) / 2;
    const half = (points[i]! - points[i - 1]!) / 2;
    if (half === 0) continue;
    for (const [node, weight] of LEGENDRE) {
      visit(center - half * node, half * weight);
      visit(center + half * node, half * weight);
    }
  }
}
