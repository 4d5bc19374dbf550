// Compares levels of a frame as spotify-confidence does, with the estimators and corrections of this project.
import { stepWiseIntervals } from '#domain/statistics/adjusted-interval.ts';
import {
  adjustmentOf,
  type CorrectionMethod,
  correctComparisons,
  isCorrectionMethod,
} from '#domain/statistics/comparison-correction.ts';
import { groupSequentialBounds } from '#domain/statistics/group-sequential.ts';
import type { Interval } from '#domain/statistics/hypothesis.ts';
import { type PoweredComparison, poweredEffect, requiredUnits } from '#domain/statistics/powered-effect.ts';
import { varianceOfSample } from '#domain/statistics/sample.ts';
import { normalQuantile, normalSurvival } from '#domain/statistics/special-functions.ts';
import { welchDegreesOfFreedom } from '#domain/statistics/t-test.ts';
import { type DifferenceResult, testDifference, testProportions } from '#domain/statistics/z-test.ts';
import { type FrameRow, groupRows, type Settings, valuesText } from './confidence-frame.ts';
import { type ComparisonRequest, marginOf, type Preference, type RowMargin } from './confidence-request.ts';
import { expectComputed } from './differences.ts';
import { readNumber } from './json-reader.ts';

export type ComparedRow = {
  level1: string;
  level2: string;
  control: FrameRow;
  treatment: FrameRow;
  margin: RowMargin;
  /** The direction that the test uses. */
  tested: Preference;
  totalUnits: number;
  comparisonCount: number;
  alpha: number;
  adjustedAlpha: number;
  adjustedPower: number | null;
  difference: DifferenceResult;
  pValue: number | null;
  adjustedPValue: number | null;
  significant: boolean;
  interval: Interval;
  adjustedInterval: Interval | null;
  poweredEffect: number | null;
  requiredUnits: number | null;
};

const DIVIDING: readonly CorrectionMethod[] = [
  'bonferroni',
  'bonferroni-only-count-twosided',
  'bonferroni-do-not-count-non-inferiority',
  'spot-1-bonferroni',
];

type Started = Pick<ComparedRow, 'level1' | 'level2' | 'control' | 'treatment' | 'margin' | 'tested' | 'totalUnits'>;

export function compareLevels(frame: FrameRow[], settings: Settings, request: ComparisonRequest): ComparedRow[] {
  const method = settings.correctionMethod;
  if (!isCorrectionMethod(method)) throw new TypeError(`there is no correction ${method}`);
  const started = startRows(frame, request, method);
  const sequential = request.finalSizeColumn !== null;
  const groupColumns = request.groupby.filter((column) => !sequential || column !== settings.ordinalColumn);
  const groupOf = (row: Started): string => valuesText(row.control.fields, groupColumns);
  const comparisonCount = countAll(started, settings, groupColumns, groupOf, method);
  const adjustedPower = powerOfEach(started, settings, method);
  const baseAlpha = 1 - settings.intervalSize;
  const rows = started.map((row): ComparedRow => {
    const alpha = method === 'spot-1-bonferroni' && row.margin.preference !== 'two-sided' ? 2 * baseAlpha : baseAlpha;
    const difference = testRow(row, alpha);
    return {
      ...row,
      comparisonCount,
      alpha,
      adjustedAlpha: alpha / comparisonCount,
      adjustedPower,
      difference,
      pValue: difference.pValue,
      adjustedPValue: null,
      significant: false,
      interval: difference.interval,
      adjustedInterval: null,
      poweredEffect: null,
      requiredUnits: null,
    };
  });
  const groups = [
    ...groupRows(rows, (row) => JSON.stringify([groupOf(row), row.control.method, row.level1, row.level2])).values(),
  ];
  for (const group of groups) addPower(group);
  if (sequential) for (const group of groups) spendAlpha(group, request.finalSizeColumn!, method);
  else correct(rows, method, baseAlpha, comparisonCount);
  for (const group of groups) addAdjustedIntervals(group, method, baseAlpha);
  return rows;
}

function startRows(frame: FrameRow[], request: ComparisonRequest, method: CorrectionMethod): Started[] {
  const started: Started[] = [];
  for (const group of groupRows(frame, (row) => valuesText(row.fields, request.groupby)).values()) {
    const totalUnits = group.reduce((sum, row) => sum + row.count, 0);
    const byLevel = new Map(group.map((row) => [valuesText(row.fields, request.levelColumns), row]));
    for (const [level1, level2] of request.pairs) {
      const control = byLevel.get(level1);
      const treatment = byLevel.get(level2);
      if (control === undefined || treatment === undefined) continue;
      const margin = marginOf(control, request);
      const tested = method === 'spot-1-bonferroni' ? 'two-sided' : margin.preference;
      started.push({ level1, level2, control, treatment, margin, tested, totalUnits });
    }
  }
  return started;
}

function distinct(rows: readonly Started[], keyOf: (row: Started) => string): number {
  return new Set(rows.map(keyOf)).size;
}

/** How many comparisons share alpha: pairs of levels times groups, of the kind that the method counts. */
function countAll(
  rows: readonly Started[],
  settings: Settings,
  groupColumns: readonly string[],
  groupOf: (row: Started) => string,
  method: CorrectionMethod,
): number {
  const pairs = distinct(rows, (row) => JSON.stringify([row.level1, row.level2]));
  if (method === 'bonferroni') return Math.max(1, pairs * distinct(rows, groupOf));
  if (method === 'bonferroni-only-count-twosided') {
    return Math.max(
      1,
      pairs *
        distinct(
          rows.filter((row) => row.tested === 'two-sided'),
          groupOf,
        ),
    );
  }
  if (!needsMetric(method)) return 1;
  const success = rows.filter((row) => row.margin.margin === null);
  const { metricColumn, treatmentColumn, segments } = settings;
  if (metricColumn === null || treatmentColumn === null) return Math.max(1, pairs * distinct(success, groupOf));
  const metrics = distinct(success, (row) => String(row.control.fields[metricColumn]));
  const segmented = segments.length > 0 && segments.every((column) => groupColumns.includes(column));
  const segmentCount = segmented ? distinct(rows, (row) => valuesText(row.control.fields, segments)) : 1;
  return Math.max(1, pairs * Math.max(1, metrics) * segmentCount);
}

/** Methods that tell success metrics from guardrails. */
function needsMetric(method: CorrectionMethod): boolean {
  return method === 'bonferroni-do-not-count-non-inferiority' || method.startsWith('spot-1-');
}

/** All guardrails and one success metric have to be found together, so the misses are shared out. */
function powerOfEach(rows: readonly Started[], settings: Settings, method: CorrectionMethod): number | null {
  if (!needsMetric(method)) return settings.power;
  const { metricColumn } = settings;
  if (metricColumn === null) return null;
  const metricOf = (row: Started): string => String(row.control.fields[metricColumn]);
  const all = distinct(rows, metricOf);
  const success = distinct(
    rows.filter((row) => row.margin.margin === null),
    metricOf,
  );
  const guardrails = all - success;
  return 1 - (1 - settings.power) / (success === 0 ? guardrails : guardrails + 1);
}

function testRow(row: Started, alpha: number): DifferenceResult {
  const { control, treatment, tested } = row;
  if (control.method === 'chi-squared')
    return expectComputed(testProportions(control.sample, treatment.sample, { alpha }));
  const shared = { alpha, alternative: tested, nullDifference: row.margin.nullDifference };
  if (control.method === 'z-test') return expectComputed(testDifference(control.sample, treatment.sample, shared));
  const part = ({ sample }: FrameRow) => ({ variance: varianceOfSample(sample), count: sample.count });
  const degreesOfFreedom = welchDegreesOfFreedom(part(control), part(treatment));
  return expectComputed(
    testDifference(control.sample, treatment.sample, {
      ...shared,
      distribution: { kind: 'student', degreesOfFreedom },
    }),
  );
}

function addPower(group: ComparedRow[]): void {
  const first = group[0]!;
  if (first.control.method !== 'z-test' || first.adjustedPower === null) return;
  const binary = group.every((row) => row.control.binary);
  const planned = group.every((row) => row.margin.alternative !== null);
  for (const row of group) {
    const compared = row.control.count + row.treatment.count;
    const comparison: PoweredComparison = {
      controlMean: row.control.sample.mean,
      controlVariance: varianceOfSample(row.control.sample),
      binary,
      nonInferiority: first.margin.margin !== null,
      controlPerTreatment: row.control.count / row.treatment.count,
      comparedShare: compared / row.totalUnits,
      zAlpha: -normalQuantile(first.adjustedAlpha / (first.tested === 'two-sided' ? 2 : 1)),
      zPower: normalQuantile(first.adjustedPower),
    };
    row.poweredEffect = poweredEffect(comparison, row.totalUnits);
    if (!planned) continue;
    row.requiredUnits = requiredUnits(
      { ...comparison, comparedShare: 1 },
      row.margin.alternative! - row.margin.nullDifference,
    );
  }
}

function correct(rows: ComparedRow[], method: CorrectionMethod, alpha: number, comparisonCount: number): void {
  const corrected = correctComparisons(
    rows.map((row) => ({
      pValue: row.pValue!,
      twoSided: row.tested === 'two-sided',
      nonInferiority: row.margin.margin !== null,
    })),
    { method, alpha, comparisonCount, alphas: rows.map((row) => row.alpha) },
  );
  rows.forEach((row, i) => {
    row.adjustedPValue = corrected[i]!.adjustedPValue;
    row.significant = corrected[i]!.significant;
  });
}

/** Looks of one comparison share its alpha by the spending function; there is no p-value then. */
function spendAlpha(group: ComparedRow[], finalSizeColumn: string, method: CorrectionMethod): void {
  if (!DIVIDING.includes(method)) throw new TypeError(`${method} has no sequential form`);
  const sizes = group.map((row) => row.control.count + row.treatment.count);
  const planned = group.map((row) => readNumber(row.control.fields[finalSizeColumn], finalSizeColumn));
  const largest = Math.max(...sizes, ...planned);
  const twoSided = group.every((row) => row.tested === 'two-sided');
  const { bounds } = expectComputed(
    groupSequentialBounds(
      sizes.map((size) => size / largest),
      { alpha: group[0]!.alpha / group[0]!.comparisonCount, sides: twoSided ? 2 : 1 },
    ),
  );
  group.forEach((row, i) => {
    row.adjustedAlpha = (twoSided ? 2 : 1) * normalSurvival(bounds[i]!);
    row.significant = row.pValue! < row.adjustedAlpha;
    row.pValue = null;
    row.adjustedPValue = null;
  });
}

function addAdjustedIntervals(group: ComparedRow[], method: CorrectionMethod, alpha: number): void {
  const adjustment = adjustmentOf(method);
  const oneSided = group.every((row) => row.tested !== 'two-sided');
  if (oneSided && (adjustment === 'holm' || adjustment === 'hommel' || adjustment === 'simes-hochberg')) {
    const intervals = stepWiseIntervals(
      group.map((row) => ({
        estimate: row.difference.estimate,
        standardError: row.difference.standardError,
        nullDifference: row.margin.nullDifference,
        alternative: row.tested === 'larger' ? 'larger' : 'smaller',
        rejected: row.significant,
      })),
      { method: adjustment, alpha },
    );
    group.forEach((row, i) => {
      row.adjustedInterval = intervals[i]!;
    });
    return;
  }
  if (!DIVIDING.includes(method) && !method.startsWith('spot-1-')) return;
  for (const row of group) row.adjustedInterval = testRow(row, row.adjustedAlpha).interval;
}
