// Tests of the open-bandit estimate: the truth is in its interval when it is known, and without overlap there is no estimate.
import { expect, test } from 'vitest';
import { createRandom } from '#domain/statistics/random.ts';
import { isComputed } from '#domain/statistics/result.ts';
import { comparePolicies, type Impression, measureRate } from './open-bandit-value.ts';

const rates = [0.02, 0.05, 0.1, 0.2];
const target = [0.1, 0.1, 0.2, 0.6];
const trueRate = rates.reduce((sum, rate, item) => sum + rate * target[item]!, 0);

/** Impressions of a policy that draws items with these probabilities, in three positions that do not matter. */
function draw(seed: number, probabilities: readonly number[], count: number): Impression[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, () => {
    const u = random.next();
    let item = 0;
    for (let below = probabilities[0]!; u > below && item < 3; below += probabilities[item]!) item += 1;
    return {
      itemId: String(item),
      position: 1 + random.integer(3),
      click: random.next() < rates[item]! ? 1 : 0,
      propensity: probabilities[item]!,
    };
  });
}

test('the click rate of the target policy is found from the log of another, by every unbiased estimator', () => {
  const kinds = ['snips', 'ips', 'doubly-robust', 'switch-doubly-robust'];
  const covered = new Map<string, number>();
  const runs = 40;
  for (let run = 0; run < runs; run++) {
    const { estimates } = comparePolicies(
      draw(run, [0.25, 0.25, 0.25, 0.25], 1_500),
      draw(1_000 + run, target, 20_000),
      { seed: run, samples: 200 },
    );
    for (const { estimator, value } of estimates) {
      if (!isComputed(value)) throw new Error(value.detail);
      const holds = value.interval.lower <= trueRate && trueRate <= value.interval.upper;
      covered.set(estimator, (covered.get(estimator) ?? 0) + Number(holds));
    }
  }
  // 95 % intervals over 40 runs: 33 is below their first permille.
  for (const kind of kinds) expect(covered.get(kind), kind).toBeGreaterThanOrEqual(33);
});

test('without overlap nothing is estimated, and the measured rate stays', () => {
  const logged = draw(1, [0.5, 0.5, 0, 0], 500);
  const shown = draw(2, [0, 0, 0.5, 0.5], 500).filter(({ itemId }) => itemId > '1');
  const { measured, estimates } = comparePolicies(logged, shown, { seed: 1, samples: 50 });
  expect(isComputed(measured)).toBe(true);
  for (const { estimator, value } of estimates) {
    if (estimator !== 'direct-method')
      expect(value, estimator).toMatchObject({ status: 'not-computable', reason: 'no-overlap' });
  }
  expect(comparePolicies([], shown, { seed: 1 }).estimates[0]!.value).toMatchObject({ reason: 'no-data' });
});

test('a measured rate has the interval of Wilson, also without a click', () => {
  const none = measureRate(Array.from({ length: 100 }, () => ({ itemId: 'a', position: 1, click: 0, propensity: 1 })));
  expect(none).toMatchObject({ value: 0, lower: 0 });
  expect(isComputed(none) && none.upper).toBeCloseTo(0.037, 3);
});
