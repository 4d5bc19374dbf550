// A guardrail that is looked at again and again without any harm: how often it would stop the experiment, for skewed and rare values.
import { testGuardrail } from '#domain/results/compare-variants.ts';
import { estimateEffect } from '#domain/statistics/effect.ts';
import { addToMoments, EMPTY_MOMENTS } from '#domain/statistics/moments.ts';
import { createRandom, type RandomSource } from '#domain/statistics/random.ts';
import { isComputed } from '#domain/statistics/result.ts';
import { meanSample } from '#domain/statistics/sample.ts';
import { sampleStatistic } from '#domain/statistics/statistic.ts';
import type { Finding } from './simulation.ts';

export type GuardrailPlan = {
  readonly seed: number;
  readonly runs: number;
  /** Units of each variant at the first look, and at the last. */
  readonly from: number;
  readonly to: number;
};

const distributions: readonly (readonly [string, (random: RandomSource) => number])[] = [
  ['latency, log-normal', (random) => 900 * Math.exp(0.35 * random.normal())],
  ['heavy tail, log-normal 1.5', (random) => Math.exp(1.5 * random.normal())],
  ['rare, 2 %', (random) => (random.next() < 0.02 ? 1 : 0)],
];
const unitsPerLook = 20;

export function guardrailFindings(plan: GuardrailPlan): Finding[] {
  return distributions.map(([name, draw], index) => ({
    name: `guardrail without harm, looks from ${plan.from} units: ${name}`,
    measured: falseStops({ ...plan, seed: plan.seed + index }, draw),
    least: 0,
    most: 0.05,
    runs: plan.runs,
  }));
}

function falseStops({ seed, runs, from, to }: GuardrailPlan, draw: (random: RandomSource) => number): number {
  const random = createRandom(seed);
  let stops = 0;
  for (let run = 0; run < runs; run++) {
    let [control, treatment] = [EMPTY_MOMENTS, EMPTY_MOMENTS];
    for (let unit = 1; unit <= to; unit++) {
      control = addToMoments(control, draw(random));
      treatment = addToMoments(treatment, draw(random));
      if (unit < from || unit % unitsPerLook !== 0) continue;
      const effect = estimateEffect(sampleStatistic(meanSample(control)), sampleStatistic(meanSample(treatment)), {
        scale: 'absolute',
      });
      const evidence = testGuardrail(effect, { harmful: 'increase', bound: 0, alpha: 0.05, tuningUnits: 5_000 });
      if (!isComputed(evidence) || !evidence.isBroken) continue;
      stops += 1;
      break;
    }
  }
  return stops / runs;
}
