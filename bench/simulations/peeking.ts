// Experiments that are looked at many times: false alarms without an effect, power with one, coverage at every look.
import { estimateEffect } from '#domain/statistics/effect.ts';
import { addToMoments, EMPTY_MOMENTS } from '#domain/statistics/moments.ts';
import { minimumDetectableEffect } from '#domain/statistics/power.ts';
import { createRandom } from '#domain/statistics/random.ts';
import { meanSample } from '#domain/statistics/sample.ts';
import { sequentialTest } from '#domain/statistics/sequential.ts';
import { sampleStatistic } from '#domain/statistics/statistic.ts';
import { welchTest } from '#domain/statistics/t-test.ts';
import { type Finding, mustCompute } from './simulation.ts';

export type PeekingPlan = {
  readonly seed: number;
  readonly runs: number;
  readonly looks: number;
  /** Units of each variant between two looks. */
  readonly unitsPerLook: number;
  readonly alpha: number;
  readonly tuningUnits: number;
};

/** The metric is exponential with mean 1: skewed, as counts and money are, so that nothing is normal by construction. */
const MEAN = 1;
const VARIANCE = 1;

type Peeked = {
  /** Share of runs in which a look excluded zero: with the sequential test, and with a t-test at every look. */
  sequentialAlarms: number;
  fixedAlarms: number;
  /** The lowest share, over the looks, of intervals that hold the truth; and the share of runs in which all do. */
  worstLookCoverage: number;
  allLooksCoverage: number;
};

export function simulatePeeking(plan: PeekingPlan, relativeEffect: number): Peeked {
  const random = createRandom(plan.seed);
  const draw = (mean: number): number => -mean * Math.log(1 - random.next());
  const truth = MEAN * relativeEffect;
  const coveredAt = new Array<number>(plan.looks).fill(0);
  let sequentialAlarms = 0;
  let fixedAlarms = 0;
  let alwaysCovered = 0;
  for (let run = 0; run < plan.runs; run++) {
    let a = EMPTY_MOMENTS;
    let b = EMPTY_MOMENTS;
    let sequentialAlarm = false;
    let fixedAlarm = false;
    let covered = 0;
    for (let look = 0; look < plan.looks; look++) {
      for (let unit = 0; unit < plan.unitsPerLook; unit++) {
        a = addToMoments(a, draw(MEAN));
        b = addToMoments(b, draw(MEAN * (1 + relativeEffect)));
      }
      const control = sampleStatistic(meanSample(a));
      const treatment = sampleStatistic(meanSample(b));
      const effect = estimateEffect(control, treatment, { scale: 'absolute' });
      const options = { alpha: plan.alpha, tuningUnits: plan.tuningUnits };
      const { interval } = mustCompute(sequentialTest(effect, options));
      sequentialAlarm ||= interval.lower > 0 || interval.upper < 0;
      fixedAlarm ||= mustCompute(welchTest(effect, control, treatment, options)).pValue < plan.alpha;
      if (interval.lower <= truth && truth <= interval.upper) {
        covered += 1;
        coveredAt[look]! += 1;
      }
    }
    if (sequentialAlarm) sequentialAlarms += 1;
    if (fixedAlarm) fixedAlarms += 1;
    if (covered === plan.looks) alwaysCovered += 1;
  }
  return {
    sequentialAlarms: sequentialAlarms / plan.runs,
    fixedAlarms: fixedAlarms / plan.runs,
    worstLookCoverage: Math.min(...coveredAt) / plan.runs,
    allLooksCoverage: alwaysCovered / plan.runs,
  };
}

/** The effect that gbstats gives a power of 80 % to at the last look of this plan. */
export function referenceEffect(plan: PeekingPlan): number {
  return mustCompute(
    minimumDetectableEffect(
      {
        mean: MEAN,
        variance: VARIANCE,
        units: 2 * plan.looks * plan.unitsPerLook,
        variants: 2,
        alpha: plan.alpha,
        sequentialTuningUnits: plan.tuningUnits,
      },
      0.8,
    ),
  ).relativeEffect;
}

export function peekingFindings(plan: PeekingPlan): Finding[] {
  const without = simulatePeeking(plan, 0);
  const withEffect = simulatePeeking({ ...plan, seed: plan.seed + 1 }, referenceEffect(plan));
  const { runs, looks } = plan;
  return [
    {
      name: `A/A, ${looks} looks: false alarms, sequential`,
      measured: without.sequentialAlarms,
      least: 0,
      most: 0.05,
      runs,
    },
    // Shows that the looks do harm a test that is made for one look, so that the line above means something.
    {
      name: `A/A, ${looks} looks: false alarms, t-test at each`,
      measured: without.fixedAlarms,
      least: 0.15,
      most: 1,
      runs,
    },
    {
      name: 'sequential power at the reference effect',
      measured: withEffect.sequentialAlarms,
      least: 0.8,
      most: 1,
      runs,
    },
    {
      name: 'sequential coverage at the worst look, A/A',
      measured: without.worstLookCoverage,
      least: 0.95,
      most: 1,
      runs,
    },
    {
      name: 'sequential coverage at the worst look, effect',
      measured: withEffect.worstLookCoverage,
      least: 0.95,
      most: 1,
      runs,
    },
    {
      name: 'sequential coverage at all looks together',
      measured: withEffect.allLooksCoverage,
      least: 0.95,
      most: 1,
      runs,
    },
  ];
}
