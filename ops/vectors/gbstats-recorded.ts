// Runs calls recorded from gbstats: effects, t-tests, sequential and Bayesian tests, strata, bandits, mid-experiment power.
import { bayesianTest, priorInMetricUnits } from '#domain/statistics/bayesian.ts';
import {
  adjustForCovariate,
  type Effect,
  type EffectOptions,
  estimateEffect,
  mergeStatistics,
} from '#domain/statistics/effect.ts';
import type { Alternative } from '#domain/statistics/hypothesis.ts';
import { additionalUnits } from '#domain/statistics/mid-experiment-power.ts';
import { stratifiedEffect } from '#domain/statistics/post-stratification.ts';
import { isComputed, type NotComputable, notComputable, type Outcome } from '#domain/statistics/result.ts';
import { sequentialTest } from '#domain/statistics/sequential.ts';
import { linearize, type Statistic } from '#domain/statistics/statistic.ts';
import { scaleToUnits, type TestResult, welchTest } from '#domain/statistics/t-test.ts';
import { createDifferences, type Differences, expectComputed } from './differences.ts';
import { runBandit } from './gbstats-bandit.ts';
import { type StatisticPairs, toPrior, toStatisticPairs } from './gbstats-statistics.ts';
import {
  type JsonRecord,
  readList,
  readNumber,
  readNumberOr,
  readNumbers,
  readRecord,
  readText,
} from './json-reader.ts';
import { createVectorTally, type VectorKind } from './vector-kind.ts';

export const gbstatsRecordedVectors: VectorKind = {
  fileName: 'gbstats-recorded.json',
  run(content) {
    const tally = createVectorTally();
    for (const [i, item] of readList(content).entries()) {
      const entry = readRecord(item);
      tally.attempt(`#${i} ${String(entry.kind)} ${String(entry.test)}`, () => runEntry(entry));
    }
    return tally.report();
  },
};

function runEntry(entry: JsonRecord): boolean | string {
  const input = readRecord(entry.input, 'input');
  const expected = readRecord(entry.expected, 'expected');
  const differences = createDifferences();
  switch (readText(entry.kind, 'kind')) {
    case 'effectMoments':
      compareMoments(effectOf(toStatisticPairs(input.stats), scaleOf(input)), expected, differences);
      break;
    case 'postStratification':
      compareMoments(
        stratifiedEffect(toStatisticPairs(input.stats), { scale: scaleOf(input), requireBaseline: true }),
        expected,
        differences,
      );
      break;
    case 'frequentist':
      runFrequentist(readText(entry.class, 'class'), input, expected, differences);
      break;
    case 'bayesian':
      runBayesian(input, expected, differences);
      break;
    case 'bandit':
      runBandit(input, expected, differences);
      break;
    case 'midExperimentPower':
      runMidExperimentPower(input, expected, differences);
      break;
    default:
      return `there is no runner for ${String(entry.kind)}`;
  }
  return differences.verdict();
}

/** gbstats answers an impossible analysis with neutral numbers and a message; here the reason must say the same. */
const REASONS: Readonly<Record<string, readonly NotComputable['reason'][]>> = {
  // A relative effect on a mean of zero has no variance for gbstats; here the reason names the mean.
  ZERO_NEGATIVE_VARIANCE: ['zero-variance', 'negative-variance', 'too-few-units', 'no-data', 'zero-baseline-mean'],
  ZERO_NEGATIVE_BASELINE_VARIATION: ['zero-baseline-mean'],
  NO_UNITS_IN_VARIATION: ['no-data'],
  ZERO_SCALED_VARIATION_WEIGHT: ['zero-denominator'],
  'ALPHA_GREATER_THAN_0.5_FOR_SEQUENTIAL_ONE_SIDED_TEST': ['invalid-input'],
  NUMERICAL_PVALUE_NOT_CONVERGED: ['not-converged'],
};

/** Compares a refusal; true when there was one on either side, so that there are no numbers to compare. */
function compareRefusal(outcome: Outcome<unknown>, message: unknown, differences: Differences): boolean {
  if (message === null || message === undefined) {
    if (isComputed(outcome)) return false;
    differences.equal('outcome', `${outcome.reason}: ${outcome.detail}`, 'computed');
    return true;
  }
  const allowed = REASONS[String(message)] ?? ['invalid-input', 'zero-variance', 'too-few-units'];
  const actual = outcome.status === 'computed' ? 'computed' : outcome.reason;
  differences.equal('refusal', (allowed as readonly string[]).includes(actual) ? message : actual, message);
  return true;
}

function scaleOf(input: JsonRecord): 'absolute' | 'relative' {
  return readText(readRecord(input.config, 'config').difference_type, 'difference_type') === 'relative'
    ? 'relative'
    : 'absolute';
}

function mergePairs(pairs: StatisticPairs): [Statistic, Statistic] {
  return [mergeStatistics(pairs.map(([control]) => control)), mergeStatistics(pairs.map(([, treatment]) => treatment))];
}

function effectOf(pairs: StatisticPairs, scale: 'absolute' | 'relative'): Outcome<Effect> {
  return estimateEffect(...mergePairs(pairs), { scale, requireBaseline: true });
}

function compareMoments(
  outcome: Outcome<Effect & { strataCount?: number }>,
  expected: JsonRecord,
  differences: Differences,
): void {
  if (compareRefusal(outcome, expected.error_message, differences)) return;
  const effect = expectComputed(outcome);
  differences.number('estimate', effect.estimate, readNumber(expected.point_estimate, 'point_estimate'));
  differences.number('standard error', effect.standardError, readNumber(expected.standard_error, 'standard_error'));
  differences.equal('units', effect.unitCount, expected.pairwise_sample_size);
  differences.equal('stratified', (effect.strataCount ?? 1) > 1, expected.post_stratification_applied);
}

function effectOptions(input: JsonRecord): EffectOptions {
  return { scale: scaleOf(input), requireBaseline: true };
}

/** The effect that gbstats tests: over strata where asked for and possible, else over all units with their covariate. */
function testedEffect(input: JsonRecord): { effect: Outcome<Effect>; control: Statistic; treatment: Statistic } {
  const pairs = toStatisticPairs(input.stats);
  const options = effectOptions(input);
  const [control, treatment] = adjustForCovariate(...mergePairs(pairs));
  const config = readRecord(input.config, 'config');
  const stratified = config.post_stratify === true ? stratifiedEffect(pairs, options) : null;
  const effect =
    stratified !== null && isComputed(stratified) ? stratified : estimateEffect(control, treatment, options);
  return { effect, control, treatment };
}

const TESTS: Readonly<Record<string, { sequential: boolean; alternative: Alternative }>> = {
  TwoSidedTTest: { sequential: false, alternative: 'two-sided' },
  OneSidedTreatmentGreaterTTest: { sequential: false, alternative: 'larger' },
  OneSidedTreatmentLesserTTest: { sequential: false, alternative: 'smaller' },
  SequentialTwoSidedTTest: { sequential: true, alternative: 'two-sided' },
  SequentialOneSidedTreatmentGreaterTTest: { sequential: true, alternative: 'larger' },
  SequentialOneSidedTreatmentLesserTTest: { sequential: true, alternative: 'smaller' },
};

function runFrequentist(name: string, input: JsonRecord, expected: JsonRecord, differences: Differences): void {
  const test = TESTS[name];
  if (test === undefined) throw new TypeError(`there is no test ${name}`);
  const { effect, control, treatment } = testedEffect(input);
  const config = { ...readRecord(input.config, 'config'), ...readRecord(input.resolved, 'resolved') };
  const alpha = readNumber(config.alpha, 'alpha');
  const nullEffect = readNumberOr(config.test_value, 0, 'test_value');
  const { alternative } = test;
  let result: Outcome<TestResult>;
  if (test.sequential) {
    const tuningUnits = readNumberOr(config.sequential_tuning_parameter, 5000, 'sequential_tuning_parameter');
    const rho = config.rho;
    const given = rho === undefined || rho === null ? {} : { rho: readNumber(rho, 'rho') };
    const options = { alpha, alternative, nullEffect, tuningUnits, ...given };
    result = sequentialTest(effect, options);
    // gbstats searches one-sided p-values on the effect without strata, though the interval is that with strata.
    const plain = sequentialTest(estimateEffect(control, treatment, effectOptions(input)), options);
    if (alternative !== 'two-sided' && isComputed(result) && isComputed(plain)) {
      result = { ...result, pValue: plain.pValue };
    }
  } else {
    result = welchTest(effect, control, treatment, { alpha, alternative, nullEffect });
  }
  const factor = scalingFactor(config, control);
  if (factor !== null && isComputed(result)) {
    result = typeof factor === 'number' ? scaleToUnits(result, factor) : factor;
  }
  const message = expected.errorMessage ?? expected.pValueErrorMessage;
  if (compareRefusal(result, message, differences)) return;
  const computedResult = expectComputed(result);
  const uplift = readRecord(expected.uplift, 'uplift');
  const [lower, upper] = readNumbers(expected.ci, 'ci');
  differences.number('estimate', computedResult.estimate, readNumber(expected.expected, 'expected'));
  differences.number('uplift', computedResult.estimate, readNumber(uplift.mean, 'mean'));
  differences.number('standard error', computedResult.standardError, readNumber(uplift.stddev, 'stddev'));
  differences.number('lower', computedResult.interval.lower, lower!);
  differences.number('upper', computedResult.interval.upper, upper!);
  differences.number('p-value', computedResult.pValue, readNumber(expected.pValue, 'pValue'));
}

/** Null unless the effect is scaled to units per day; a refusal where there are no such units. */
function scalingFactor(config: JsonRecord, control: Statistic): number | NotComputable | null {
  if (config.difference_type !== 'scaled') return null;
  const days = readNumber(config.phase_length_days, 'phase_length_days');
  const traffic = readNumber(config.traffic_percentage, 'traffic_percentage');
  if (days === 0 || traffic === 0) return notComputable('zero-denominator', 'no traffic to scale to');
  if (control.kind !== 'sample' && control.kind !== 'cuped') {
    return notComputable('invalid-input', 'only sums per unit scale with units');
  }
  const users = readNumberOr(config.total_users, 0, 'total_users');
  return users === 0 ? notComputable('no-data', 'no units to scale to') : users / (traffic * days);
}

function runBayesian(input: JsonRecord, expected: JsonRecord, differences: Differences): void {
  const { effect, control } = testedEffect(input);
  const config = readRecord(input.config, 'config');
  const prior = toPrior(config.prior_effect);
  const rescaled = prior !== null && scaleOf(input) === 'absolute' && config.prior_type === 'relative';
  const result = bayesianTest(effect, {
    alpha: readNumber(config.alpha, 'alpha'),
    prior: rescaled ? priorInMetricUnits(prior, linearize(control).baseline) : prior,
    lowerIsBetter: config.inverse === true,
  });
  const factor = scalingFactor(config, control);
  const refused = factor !== null && typeof factor !== 'number' && isComputed(result) ? factor : result;
  if (compareRefusal(refused, expected.errorMessage, differences)) return;
  const posterior = expectComputed(result);
  const units = typeof factor === 'number' ? factor : 1;
  const [lower, upper] = readNumbers(expected.ci, 'ci');
  const [keep, choose] = readNumbers(expected.risk, 'risk');
  const uplift = readRecord(expected.uplift, 'uplift');
  differences.number('mean', posterior.posteriorMean * units, readNumber(expected.expected, 'expected'));
  differences.number('uplift', posterior.posteriorMean * units, readNumber(uplift.mean, 'uplift mean'));
  differences.number('deviation', posterior.posteriorDeviation * units, readNumber(uplift.stddev, 'stddev'));
  differences.number('lower', posterior.interval.lower * units, lower!);
  differences.number('upper', posterior.interval.upper * units, upper!);
  differences.number('chance to win', posterior.chanceToWin, readNumber(expected.chanceToWin, 'chanceToWin'));
  differences.number('loss of control', posterior.expectedLoss.keepControl, keep!);
  differences.number('loss of treatment', posterior.expectedLoss.chooseTreatment, choose!);
}

function runMidExperimentPower(input: JsonRecord, expected: JsonRecord, differences: Differences): void {
  const [moments, test, base, settings] = readList(input.args, 'args').map((item) => readRecord(item));
  const power = settings!;
  const variations = readNumber(power.num_variations, 'num_variations');
  const goalMetrics = readNumber(power.num_goal_metrics, 'num_goal_metrics');
  const tuningUnits = readNumber(power.sequential_tuning_parameter, 'sequential_tuning_parameter');
  const plan = {
    standardError: readNumber(moments!.standard_error, 'standard_error'),
    unitCount: readNumber(moments!.pairwise_sample_size, 'pairwise_sample_size'),
    targetEffect: readNumber(power.target_mde, 'target_mde'),
    alpha: readNumber(base!.alpha, 'alpha'),
    targetPower: readNumber(power.target_power, 'target_power'),
    goalMetrics,
    testCount: power.p_value_corrected === true ? (variations - 1) * goalMetrics : 1,
    prior: toPrior(power.prior_effect),
    sequential: power.sequential === true ? { tuningUnits } : null,
  };
  const result = additionalUnits(plan);
  const failed = test!.errorMessage !== null || expected.converged === false;
  if (compareRefusal(result, failed ? 'NUMERICAL_PVALUE_NOT_CONVERGED' : null, differences)) return;
  const factor = expectComputed(result).scalingFactor;
  differences.number('scaling factor', factor, readNumber(expected.scaling_factor, 'scaling_factor'));
}
