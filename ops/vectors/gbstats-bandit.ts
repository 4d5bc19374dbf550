// Runs bandit weights recorded from gbstats, which draws them: shares are compared within four standard errors of its draws.
import { banditWeights } from '#domain/statistics/bandit.ts';
import { linearize, type Statistic, varianceOfStatistic } from '#domain/statistics/statistic.ts';
import { type Differences, expectComputed } from './differences.ts';
import { toPrior, toStatistic } from './gbstats-statistics.ts';
import { type JsonRecord, readList, readNumber, readNumbers, readRecord } from './json-reader.ts';

/** Draws of the reference; its shares are estimates with a binomial error. */
const DRAWS = 10_000;

function withinFourErrors(share: number, factor: number): number {
  // At least one draw, for shares too small to be drawn at all.
  return 4 * factor * Math.max(Math.sqrt(Math.max(0, share * (1 - share)) / DRAWS), 1 / DRAWS);
}

export function runBandit(input: JsonRecord, expected: JsonRecord, differences: Differences): void {
  const [stats, , settings] = readList(input.args, 'args');
  const config = readRecord(settings, 'config');
  const statistics = readList(stats, 'stats').map(toStatistic);
  const arms = statistics.map((statistic) => ({
    count: statistic.count,
    mean: linearize(statistic).value + addedBack(statistics, statistic),
    variance: varianceOfStatistic(statistic),
  }));
  const smallestWeight = readNumber(config.min_variation_weight, 'min_variation_weight');
  const topTwo = config.top_two === true;
  const result = expectComputed(
    banditWeights(arms, {
      alpha: readNumber(config.alpha, 'alpha'),
      prior: toPrior(config.prior_distribution),
      lowerIsBetter: config.inverse === true,
      topTwo,
      smallestWeight,
    }),
  );
  differences.equal(
    'units',
    arms.map((arm) => arm.count),
    expected.users,
  );
  readNumbers(expected.cr, 'cr').forEach((mean, i) => {
    differences.number(`mean ${i}`, arms[i]!.mean, mean);
  });
  readList(expected.ci, 'ci').forEach((pair, i) => {
    const [lower, upper] = readNumbers(pair, 'ci');
    differences.number(`lower ${i}`, result.intervals[i]!.lower, lower!);
    differences.number(`upper ${i}`, result.intervals[i]!.upper, upper!);
  });
  readNumbers(expected.best_arm_probabilities, 'best_arm_probabilities').forEach((share, i) => {
    const best = result.bestArmProbabilities[i]!;
    differences.number(`best arm ${i}`, best, share, withinFourErrors(best, 1));
  });
  if (expected.bandit_weights === null || result.weights === null) {
    differences.equal('weights', result.weights, expected.bandit_weights);
    return;
  }
  const spread = Math.max(0, 1 - Math.max(0, smallestWeight) * arms.length);
  const weights = result.weights;
  readNumbers(expected.bandit_weights, 'bandit_weights').forEach((weight, i) => {
    // Undo floor and halving to get the share that was drawn.
    const drawn = spread === 0 ? 0 : ((weights[i]! - Math.max(0, smallestWeight)) / spread) * (topTwo ? 2 : 1);
    differences.number(`weight ${i}`, weights[i]!, weight, withinFourErrors(drawn, spread / (topTwo ? 2 : 1)));
  });
}

/** gbstats shows adjusted means of bandits with the pooled covariate mean added back. */
function addedBack(statistics: readonly Statistic[], statistic: Statistic): number {
  if (statistic.kind !== 'cuped') return 0;
  let units = 0;
  let sum = 0;
  for (const one of statistics) {
    if (one.kind !== 'cuped') continue;
    units += one.count;
    sum += one.pre.mean * one.count;
  }
  return units === 0 ? 0 : ((statistic.theta ?? 0) * sum) / units;
}
