// Runs calls recorded from spotify-confidence: summaries, differences, corrections, group-sequential bounds, sample sizes.
import { groupSequentialBounds } from '#domain/statistics/group-sequential.ts';
import { type SampleSizePlan, sampleSize } from '#domain/statistics/power.ts';
import { testSampleRatio } from '#domain/statistics/sample-ratio.ts';
import { type ComparedRow, compareLevels } from './confidence-comparison.ts';
import { type FrameRow, levelText, readFrame, readSettings, type Settings, valuesText } from './confidence-frame.ts';
import { type ComparisonRequest, pythonTuple, readRequest } from './confidence-request.ts';
import { createDifferences, type Differences, expectComputed } from './differences.ts';
import { type JsonRecord, readList, readNumber, readNumbers, readRecord, readText } from './json-reader.ts';
import { createVectorTally, type VectorKind } from './vector-kind.ts';

/** Bounds come from a numerical integral whose grid and search are coarser than other numbers. */
const BOUND_TOLERANCE = 1e-3;

export const confidenceRecordedVectors: VectorKind = {
  fileName: 'confidence-recorded.json',
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
  const kind = readText(entry.kind, 'kind');
  const input = readRecord(entry.input, 'input');
  const differences = createDifferences();
  if (kind === 'groupSequentialBounds') runBounds(input, readRecord(entry.expected, 'expected'), differences);
  else if (kind.startsWith('sampleSize.'))
    runSampleSize(kind, input, readRecord(entry.expected, 'expected'), differences);
  else if (kind === 'sampleRatioTest') runSampleRatio(input, readRecord(entry.expected, 'expected'), differences);
  else if (kind === 'experiment.summary') runSummary(input, readRows(entry.expected), differences);
  else runComparison(kind, input, readRows(entry.expected), differences);
  return differences.verdict();
}

function readRows(value: unknown): JsonRecord[] {
  return readList(value, 'expected').map((item) => readRecord(item, 'expected row'));
}

function runBounds(input: JsonRecord, expected: JsonRecord, differences: Differences): void {
  const { bounds } = expectComputed(
    groupSequentialBounds(readNumbers(input.t, 't'), {
      alpha: readNumber(input.alpha, 'alpha'),
      sides: readNumber(input.sides, 'sides') === 2 ? 2 : 1,
      rho: readNumber(input.rho, 'rho'),
      largestBound: readNumber(input.ztrun, 'ztrun'),
    }),
  );
  const z = readNumbers(expected.z, 'z');
  differences.equal('looks', bounds.length, z.length);
  z.forEach((bound, i) => {
    differences.number(`bound ${i}`, bounds[i]!, bound, BOUND_TOLERANCE);
  });
}

function runSampleSize(kind: string, input: JsonRecord, expected: JsonRecord, differences: Differences): void {
  const binomial = kind === 'sampleSize.binomial';
  const names = binomial
    ? ['absolute_percentage_mde', 'baseline_proportion']
    : ['average_absolute_mde', 'baseline_variance'];
  const allNames = [
    ...names,
    'alpha',
    'power',
    'treatments',
    'comparisons',
    'treatment_costs',
    'treatment_allocations',
    'bonferroni_correction',
  ];
  const positional = readList(input.args ?? [], 'args').map((value, i) => [allNames[i], value]);
  const values: JsonRecord = { ...Object.fromEntries(positional), ...readRecord(input.kwargs ?? {}, 'kwargs') };
  const baseline = readNumber(values[names[1]!], names[1]);
  const given = <Key extends keyof SampleSizePlan>(
    key: Key,
    value: unknown,
    read: (v: unknown) => SampleSizePlan[Key],
  ) => (value === undefined || value === null ? {} : { [key]: read(value) });
  const result = expectComputed(
    sampleSize({
      absoluteEffect: readNumber(values[names[0]!], names[0]),
      variance: binomial ? baseline * (1 - baseline) : baseline,
      ...given('alpha', values.alpha, readNumber),
      ...given('power', values.power, readNumber),
      ...given('variants', values.treatments, readNumber),
      ...given('costs', values.treatment_costs, readNumbers),
      ...given('allocations', values.treatment_allocations, readNumbers),
      comparisons: values.comparisons === 'all_vs_all' ? 'all-vs-all' : 'control-vs-all',
      bonferroni: values.bonferroni_correction === true,
    }),
  );
  differences.equal('total', result.total, expected.nTotal);
  differences.equal('per variant', result.perVariant, expected.nPerTreatment);
  readNumbers(expected.allocations, 'allocations').forEach((share, i) => {
    differences.number(`allocation ${i}`, result.allocations[i]!, share);
  });
}

function runSampleRatio(input: JsonRecord, expected: JsonRecord, differences: Differences): void {
  const settings = readSettings(input.settings);
  const frame = readFrame(input.data, settings);
  const proportions = readRecord(input.expected_proportions, 'expected_proportions');
  const keyOf = (row: JsonRecord): string => {
    const values = settings.groupColumns.map((column) => row[column]);
    return values.length === 1 ? String(values[0]) : pythonTuple(values);
  };
  const total = frame.reduce((sum, row) => sum + row.count, 0);
  const weightOf = (row: JsonRecord): number => readNumber(proportions[keyOf(row)], `proportion of ${keyOf(row)}`);
  const result = expectComputed(
    testSampleRatio(frame.map((row) => ({ observed: row.count, weight: weightOf(row.fields) }))),
  );
  differences.number('p-value', result.pValue, readNumber(expected.p, 'p'));
  for (const row of readRows(expected.table ?? [])) {
    const found = frame.find((one) => keyOf(one.fields) === keyOf(row));
    if (found === undefined) throw new Error(`${keyOf(row)} is not in the data`);
    const observed = found.count / total;
    differences.number('observed', observed, readNumber(row.observed_proportion));
    differences.number('expected', weightOf(row), readNumber(row.expected_proportion));
    differences.number('difference', observed - weightOf(row), readNumber(row.difference));
  }
}

function compareFields(actual: JsonRecord, expected: JsonRecord, label: string, differences: Differences): void {
  for (const [name, value] of Object.entries(expected)) {
    const own = actual[name];
    const numeric = typeof value === 'number' || value === 'Infinity' || value === '-Infinity';
    if (numeric && typeof own === 'number') differences.number(`${label} ${name}`, own, readNumber(value));
    else differences.equal(`${label} ${name}`, own ?? null, value);
  }
}

function runSummary(input: JsonRecord, expected: JsonRecord[], differences: Differences): void {
  const settings = readSettings(input.settings);
  const frame = readFrame(input.data, settings);
  differences.equal('rows', frame.length, expected.length);
  for (const row of expected) {
    const key = valuesText(row, settings.groupColumns);
    const found = frame.find((one) => valuesText(one.fields, settings.groupColumns) === key);
    if (found === undefined) throw new Error(`${key} is not in the data`);
    compareFields({ ...found.fields, ...summaryFields(found) }, row, key, differences);
  }
}

function summaryFields({ sample, interval }: FrameRow): JsonRecord {
  const variance = sample.family === 'mean' ? sample.m2 / (sample.count - 1) : sample.m2 / sample.count;
  return {
    point_estimate: sample.mean,
    original_point_estimate: sample.mean,
    variance,
    original_variance: variance,
    ci_lower: interval.lower,
    ci_upper: interval.upper,
  };
}

function runComparison(kind: string, input: JsonRecord, expected: JsonRecord[], differences: Differences): void {
  const settings = readSettings(input.settings);
  const frame = readFrame(input.data, settings);
  const request = readRequest(kind, input, settings, frame);
  const rows = compareLevels(frame, settings, request);
  differences.equal('rows', rows.length, expected.length);
  for (const row of expected) {
    const group = valuesText(row, request.groupby);
    const label = `${group} ${levelText(row.level_1)} / ${levelText(row.level_2)}`;
    const found = rows.find(
      (one) =>
        one.level1 === levelText(row.level_1) &&
        one.level2 === levelText(row.level_2) &&
        valuesText(one.control.fields, request.groupby) === group,
    );
    if (found === undefined) throw new Error(`${label} was not compared`);
    compareFields(comparisonFields(found, settings, request, row), row, label, differences);
  }
}

const DIRECTIONS = { larger: 'increase', smaller: 'decrease', 'two-sided': 'two-sided' } as const;

function comparisonFields(
  row: ComparedRow,
  settings: Settings,
  request: ComparisonRequest,
  expected: JsonRecord,
): JsonRecord {
  const unit = request.absolute ? 1 : row.control.sample.mean;
  const scaled = (value: number | null): number | null => (value === null ? null : value / unit);
  // Margins that were asked for take the place of those in the data.
  const requested = {
    non_inferiority_margin: row.margin.margin,
    preferred_direction: row.margin.preference === 'two-sided' ? null : DIRECTIONS[row.margin.preference],
  };
  const suffixed = (source: JsonRecord, suffix: string): JsonRecord =>
    Object.fromEntries(Object.entries(source).map(([name, value]) => [name + suffix, value]));
  return {
    ...row.control.fields,
    ...suffixed({ ...row.control.fields, ...summaryFields(row.control), ...requested }, '_1'),
    ...suffixed({ ...row.treatment.fields, ...summaryFields(row.treatment), ...requested }, '_2'),
    [`current_total_${settings.denominator}`]: row.totalUnits,
    // Compared as the text they were found by.
    level_1: expected.level_1,
    level_2: expected.level_2,
    absolute_difference: request.absolute,
    difference: scaled(row.difference.estimate),
    std_err: row.difference.standardError,
    ci_lower: scaled(row.interval.lower),
    ci_upper: scaled(row.interval.upper),
    'p-value': row.pValue,
    'adjusted p-value': row.adjustedPValue,
    'adjusted ci_lower': scaled(row.adjustedInterval?.lower ?? null),
    'adjusted ci_upper': scaled(row.adjustedInterval?.upper ?? null),
    is_significant: row.significant,
    powered_effect: scaled(row.poweredEffect),
    required_sample_size: row.requiredUnits,
    'non-inferiority margin': row.margin.margin,
    null_hypothesis: scaled(row.margin.nullDifference),
    preference: DIRECTIONS[row.margin.preference],
    preference_used_in_test: row.tested,
    power: settings.power,
    adjusted_power: row.adjustedPower,
    alpha: row.alpha,
    adjusted_alpha: row.adjustedAlpha,
    adjusted_alpha_power_sample_size: row.alpha / row.comparisonCount,
  };
}
