// Group-sequential bounds and the anytime-valid sample ratio test: how often they raise an alarm over all of their looks.
import { groupSequentialBounds } from '#domain/statistics/group-sequential.ts';
import { createRandom } from '#domain/statistics/random.ts';
import {
  addToSequentialSampleRatio,
  type SequentialSampleRatio,
  startSequentialSampleRatio,
} from '#domain/statistics/sample-ratio.ts';
import { type Finding, mustCompute } from './simulation.ts';

export type LooksPlan = { readonly seed: number; readonly runs: number };

/** A random walk without drift, looked at five times: alpha is spent exactly, neither more nor less. */
export function groupSequentialFinding(plan: LooksPlan): Finding {
  const times = [0.2, 0.4, 0.6, 0.8, 1];
  const { bounds } = mustCompute(groupSequentialBounds(times, { alpha: 0.05, sides: 2 }));
  const random = createRandom(plan.seed);
  let alarms = 0;
  for (let run = 0; run < plan.runs; run++) {
    let position = 0;
    let last = 0;
    for (const [i, time] of times.entries()) {
      position += Math.sqrt(time - last) * random.normal();
      last = time;
      if (Math.abs(position / Math.sqrt(time)) < bounds[i]!) continue;
      alarms += 1;
      break;
    }
  }
  // Three standard errors of the simulation around alpha.
  const error = 3 * Math.sqrt((0.05 * 0.95) / plan.runs);
  return {
    name: 'group-sequential false alarms at five looks',
    measured: alarms / plan.runs,
    least: 0.05 - error,
    most: 0.05 + error,
    runs: plan.runs,
  };
}

/** Share of runs with an alarm when units arrive with `actual` shares and `planned` ones were promised. */
function sampleRatioAlarms(plan: LooksPlan, planned: readonly number[], actualFirst: number): number {
  const random = createRandom(plan.seed);
  let alarms = 0;
  for (let run = 0; run < plan.runs; run++) {
    let state: SequentialSampleRatio = mustCompute(startSequentialSampleRatio(planned));
    for (let look = 0; look < 30 && state.pValue > 0.05; look++) {
      let first = 0;
      for (let unit = 0; unit < 200; unit++) if (random.next() < actualFirst) first += 1;
      state = addToSequentialSampleRatio(state, [first, 200 - first], { proportions: planned });
    }
    if (state.pValue <= 0.05) alarms += 1;
  }
  return alarms / plan.runs;
}

export function sampleRatioFindings(plan: LooksPlan): Finding[] {
  const { runs } = plan;
  return [
    {
      name: 'sample ratio, 30 looks, sound split: alarms',
      measured: sampleRatioAlarms(plan, [0.5, 0.5], 0.5),
      least: 0,
      most: 0.05,
      runs,
    },
    {
      name: 'sample ratio, 30 looks, 55/45 for 50/50: alarms',
      measured: sampleRatioAlarms(plan, [0.5, 0.5], 0.55),
      least: 0.95,
      most: 1,
      runs,
    },
  ];
}
