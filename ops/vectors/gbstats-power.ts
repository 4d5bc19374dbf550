// Runs the power calculations of GrowthBook: variances, power and minimum detectable effects, published to five decimals.
import { differenceVariance, minimumDetectableEffect, type PowerPlan, planPower } from '#domain/statistics/power.ts';
import { createDifferences, expectComputed } from './differences.ts';
import { type JsonRecord, readList, readNumber, readRecord } from './json-reader.ts';
import { createVectorTally, type VectorKind, type VectorTally } from './vector-kind.ts';

/** Half a unit of the last decimal that is given. */
const ROUNDING = 5.001e-6;

export const gbstatsPowerVectors: VectorKind = {
  fileName: 'gbstats-power.json',
  run(content) {
    const tally = createVectorTally();
    for (const [name, value] of Object.entries(readRecord(content))) {
      if (typeof value === 'string') continue;
      if (name === 'frequentistVariance') runVariances(readList(value, name), tally);
      else runMetric(name, readRecord(value, name), tally);
    }
    return tally.report();
  },
};

function runVariances(items: readonly unknown[], tally: VectorTally): void {
  for (const [i, item] of items.entries()) {
    tally.attempt(`variance #${i}`, () => {
      const { args, expected } = readRecord(item);
      const fields = readRecord(args, 'args');
      const part = (letter: 'A' | 'B') => ({
        variance: readNumber(fields[`var${letter}`], 'variance'),
        mean: readNumber(fields[`mean${letter}`], 'mean'),
        count: readNumber(fields[`n${letter}`], 'count'),
      });
      const differences = createDifferences();
      const variance = differenceVariance(part('A'), part('B'), fields.relative === true ? 'relative' : 'absolute');
      differences.number('variance', variance, readNumber(expected, 'expected'), ROUNDING);
      return differences.verdict();
    });
  }
}

/** Answers are named `power`, `mdeAt80`, and the same after `sequentialN5000_` with the tuning of a sequential test. */
const ANSWER = /^(?:sequentialN(\d+)_)?(?:(power)|mdeAt(\d+))$/;

function runMetric(name: string, metric: JsonRecord, tally: VectorTally): void {
  for (const [key, expected] of Object.entries(metric)) {
    const answer = ANSWER.exec(key);
    if (answer === null) continue;
    tally.attempt(`${name} ${key}`, () => {
      const plan: PowerPlan = {
        mean: readNumber(metric.mean, 'mean'),
        variance: readNumber(metric.variance, 'variance'),
        units: readNumber(metric.users, 'users'),
        variants: readNumber(metric.variations, 'variations'),
        alpha: readNumber(metric.alpha, 'alpha'),
        ...(answer[1] === undefined ? {} : { sequentialTuningUnits: Number(answer[1]) }),
      };
      const differences = createDifferences();
      const actual =
        answer[2] === 'power'
          ? planPower(plan, readNumber(metric.effectSize, 'effectSize'))
          : expectComputed(minimumDetectableEffect(plan, Number(answer[3]) / 100)).relativeEffect;
      differences.number(key, actual, readNumber(expected, key), ROUNDING);
      return differences.verdict();
    });
  }
}
