// A guardrail that is looked at again and again without any harm: how often it would stop the experiment, for skewed and rare values.
import { estimateForGuardrail, testGuardrail } from '#domain/results/compare-variants.ts';
import { addToMoments, EMPTY_MOMENTS, type Moments } from '#domain/statistics/moments.ts';
import { createRandom, type RandomSource } from '#domain/statistics/random.ts';
import { isComputed } from '#domain/statistics/result.ts';
import { meanSample, proportionSample } from '#domain/statistics/sample.ts';
import { type Statistic, sampleStatistic } from '#domain/statistics/statistic.ts';
import type { Finding } from './simulation.ts';

export type GuardrailPlan = {
  readonly seed: number;
  readonly runs: number;
  /** Units of each variant at the first look, and at the last. */
  readonly from: number;
  readonly to: number;
};

type Distribution = {
  readonly name: string;
  readonly kind: 'mean' | 'proportion';
  readonly draw: (random: RandomSource) => number;
};

const rare =
  (share: number): Distribution['draw'] =>
  (random) =>
    random.next() < share ? 1 : 0;
const distributions: readonly Distribution[] = [
  { name: 'latency, log-normal', kind: 'mean', draw: (random) => 900 * Math.exp(0.35 * random.normal()) },
  { name: 'heavy tail, log-normal 1.5', kind: 'mean', draw: (random) => Math.exp(1.5 * random.normal()) },
  { name: 'outcome of 2 %', kind: 'proportion', draw: rare(0.02) },
  { name: 'outcome of 0.2 %', kind: 'proportion', draw: rare(0.002) },
];
const unitsPerLook = 20;

export function guardrailFindings(plan: GuardrailPlan): Finding[] {
  return distributions.map((distribution, index) => ({
    name: `guardrail without harm, looks from ${plan.from} units: ${distribution.name}`,
    measured: falseStops({ ...plan, seed: plan.seed + index }, distribution),
    least: 0,
    most: 0.05,
    runs: plan.runs,
  }));
}

function toStatistic({ count, mean, m2 }: Moments, kind: Distribution['kind']): Statistic {
  const sample =
    kind === 'mean'
      ? meanSample({ count, mean, m2 })
      : proportionSample({ count, successes: Math.round(mean * count) });
  return sampleStatistic(sample);
}

function falseStops({ seed, runs, from, to }: GuardrailPlan, { kind, draw }: Distribution): number {
  const random = createRandom(seed);
  let stops = 0;
  for (let run = 0; run < runs; run++) {
    let [control, treatment] = [EMPTY_MOMENTS, EMPTY_MOMENTS];
    for (let unit = 1; unit <= to; unit++) {
      control = addToMoments(control, draw(random));
      treatment = addToMoments(treatment, draw(random));
      if (unit < from || unit % unitsPerLook !== 0) continue;
      const pair = [toStatistic(control, kind), toStatistic(treatment, kind)] as const;
      const effect = estimateForGuardrail({ kind, scale: 'absolute' }, [pair]);
      const evidence = testGuardrail(effect, { harmful: 'increase', bound: 0, alpha: 0.05, tuningUnits: 5_000 });
      if (!isComputed(evidence) || !evidence.isBroken) continue;
      stops += 1;
      break;
    }
  }
  return stops / runs;
}
