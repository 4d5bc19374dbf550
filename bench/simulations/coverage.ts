// Fixed-horizon intervals: how often they hold the truth, for every shape of metric, and how much CUPED narrows them.
import { adjustForCovariate, type EffectScale, estimateEffect } from '#domain/statistics/effect.ts';
import { momentsOf } from '#domain/statistics/moments.ts';
import { createRandom, type RandomSource } from '#domain/statistics/random.ts';
import { ratioStatistic } from '#domain/statistics/ratio.ts';
import { meanSample, proportionSample } from '#domain/statistics/sample.ts';
import { type Statistic, sampleStatistic } from '#domain/statistics/statistic.ts';
import { welchTest } from '#domain/statistics/t-test.ts';
import { type Finding, mustCompute } from './simulation.ts';

export type CoveragePlan = {
  readonly seed: number;
  readonly runs: number;
  readonly unitsPerVariant: number;
};

type Metric = {
  name: string;
  scale: EffectScale;
  /** The true effect on that scale. */
  truth: number;
  draw(random: RandomSource, units: number, lift: number): Statistic;
};

const LIFT = 0.1;
/** Correlation of the metric with its covariate. */
const RHO = 0.8;

function repeat<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

function coMomentOf(xs: readonly number[], ys: readonly number[]): number {
  const [a, b] = [momentsOf(xs), momentsOf(ys)];
  return xs.reduce((sum, x, i) => sum + (x - a.mean) * (ys[i]! - b.mean), 0);
}

function drawMean(random: RandomSource, units: number, lift: number): Statistic {
  return sampleStatistic(meanSample(momentsOf(repeat(units, () => -(1 + lift) * Math.log(1 - random.next())))));
}

function drawProportion(random: RandomSource, units: number, lift: number): Statistic {
  let successes = 0;
  for (let i = 0; i < units; i++) if (random.next() < 0.3 * (1 + lift)) successes += 1;
  return sampleStatistic(proportionSample({ count: units, successes }));
}

/** Sessions per unit, and a value that grows with them. */
function drawRatio(random: RandomSource, units: number, lift: number): Statistic {
  const denominators = repeat(units, () => 1 + random.integer(5));
  const numerators = denominators.map((d) => d * 2 * (1 + lift) + random.normal());
  return ratioStatistic({
    numerator: meanSample(momentsOf(numerators)),
    denominator: meanSample(momentsOf(denominators)),
    coMoment: coMomentOf(numerators, denominators),
  });
}

function drawCuped(random: RandomSource, units: number, lift: number): Statistic {
  const pre = repeat(units, () => random.normal());
  const post = pre.map((x) => 5 * (1 + lift) + RHO * x + Math.sqrt(1 - RHO ** 2) * random.normal());
  return {
    kind: 'cuped',
    count: units,
    post: meanSample(momentsOf(post)),
    pre: meanSample(momentsOf(pre)),
    coMoment: coMomentOf(post, pre),
    theta: null,
  };
}

const METRICS: readonly Metric[] = [
  { name: 'mean, absolute', scale: 'absolute', truth: LIFT, draw: drawMean },
  { name: 'mean, relative', scale: 'relative', truth: LIFT, draw: drawMean },
  { name: 'proportion, relative', scale: 'relative', truth: LIFT, draw: drawProportion },
  { name: 'ratio, relative', scale: 'relative', truth: LIFT, draw: drawRatio },
  { name: 'CUPED mean, relative', scale: 'relative', truth: LIFT, draw: drawCuped },
];

export function coverageFindings(plan: CoveragePlan): Finding[] {
  return METRICS.map((metric, i) => ({
    name: `coverage of 95 % intervals: ${metric.name}`,
    measured: coverageOf(metric, { ...plan, seed: plan.seed + i }),
    least: 0.94,
    most: 0.96,
    runs: plan.runs,
  }));
}

function coverageOf(metric: Metric, plan: CoveragePlan): number {
  const random = createRandom(plan.seed);
  let covered = 0;
  for (let run = 0; run < plan.runs; run++) {
    const [control, treatment] = adjustForCovariate(
      metric.draw(random, plan.unitsPerVariant, 0),
      metric.draw(random, plan.unitsPerVariant, LIFT),
    );
    const effect = estimateEffect(control, treatment, { scale: metric.scale });
    const { interval } = mustCompute(welchTest(effect, control, treatment, { alpha: 0.05 }));
    if (interval.lower <= metric.truth && metric.truth <= interval.upper) covered += 1;
  }
  return covered / plan.runs;
}

/** Theory: the standard error shrinks by sqrt(1 - rho^2), here 0.6. */
export function cupedFinding(plan: CoveragePlan): Finding {
  const random = createRandom(plan.seed);
  let ratios = 0;
  for (let run = 0; run < plan.runs; run++) {
    const control = drawCuped(random, plan.unitsPerVariant, 0);
    const treatment = drawCuped(random, plan.unitsPerVariant, LIFT);
    const plain = mustCompute(estimateEffect(control, treatment, { scale: 'absolute' }));
    const adjusted = mustCompute(estimateEffect(...adjustForCovariate(control, treatment), { scale: 'absolute' }));
    ratios += adjusted.standardError / plain.standardError;
  }
  const theory = Math.sqrt(1 - RHO ** 2);
  return {
    name: `CUPED interval width at correlation ${RHO}, over plain`,
    measured: ratios / plan.runs,
    least: theory * 0.99,
    most: theory * 1.01,
    runs: plan.runs,
  };
}
