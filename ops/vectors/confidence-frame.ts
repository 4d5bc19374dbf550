// The data of a recorded spotify-confidence call: rows with group columns, sufficient statistics and summary intervals.
import { type Interval, intervalOf } from '#domain/statistics/hypothesis.ts';
import { meanSampleFromSums, proportionSample, type Sample, varianceOfSample } from '#domain/statistics/sample.ts';
import { type JsonRecord, readList, readNumber, readNumberOr, readRecord, readText } from './json-reader.ts';

export type Method = 'z-test' | 't-test' | 'chi-squared';

export type Settings = {
  numerator: string;
  numeratorSquares: string;
  denominator: string;
  groupColumns: string[];
  ordinalColumn: string | null;
  metricColumn: string | null;
  treatmentColumn: string | null;
  intervalSize: number;
  power: number;
  correctionMethod: string;
  methodColumn: string;
  /** Group columns that are neither the metric nor the treatment. */
  segments: string[];
};

export type FrameRow = {
  fields: JsonRecord;
  method: Method;
  count: number;
  sample: Sample;
  /** Whether this row's numerator equals its sum of squares. */
  binary: boolean;
  interval: Interval;
};

/** Texts, a text alone, or nothing. */
export function listify(value: unknown): string[] {
  if (value === null || value === undefined) return [];
  if (typeof value === 'string') return [value];
  return readList(value).map((item) => readText(item));
}

function textOr(value: unknown, fallback: string | null): string | null {
  return value === null || value === undefined ? fallback : readText(value);
}

export function readSettings(value: unknown): Settings {
  const fields = readRecord(value, 'settings');
  const metricColumn = textOr(fields.metric_column, null);
  const treatmentColumn = textOr(fields.treatment_column, null);
  const ordinalColumn = textOr(fields.ordinal_group_column, null);
  const categorical = [
    ...listify(treatmentColumn),
    ...listify(fields.categorical_group_columns),
    ...listify(metricColumn),
  ];
  const numerator = readText(fields.numerator, 'numerator');
  return {
    numerator,
    numeratorSquares: textOr(fields.numerator_sumsq, numerator)!,
    denominator: readText(fields.denominator, 'denominator'),
    groupColumns: [...new Set([...categorical, ...listify(ordinalColumn)])],
    ordinalColumn,
    metricColumn,
    treatmentColumn,
    intervalSize: readNumberOr(fields.interval_size, 0.95, 'interval_size'),
    power: readNumberOr(fields.power, 0.8, 'power'),
    correctionMethod: (textOr(fields.correction_method, 'bonferroni') as string).toLowerCase(),
    methodColumn: textOr(fields.method_column, 'method_column_name')!,
    segments: [...new Set(categorical)].filter((column) => column !== metricColumn && column !== treatmentColumn),
  };
}

/** Rows of one method and metric are binary together or not at all. */
export function readFrame(data: unknown, settings: Settings): FrameRow[] {
  const raw = readList(data, 'data').map((item) => readRecord(item, 'row'));
  const isBinary = (row: JsonRecord): boolean => row[settings.numerator] === row[settings.numeratorSquares];
  const groupOf = (row: JsonRecord): string =>
    JSON.stringify([row[settings.methodColumn], settings.metricColumn === null ? null : row[settings.metricColumn]]);
  const continuous = new Set(raw.filter((row) => !isBinary(row)).map(groupOf));
  return raw.map((fields) => {
    const method = readMethod(fields[settings.methodColumn]);
    const count = readNumber(fields[settings.denominator], settings.denominator);
    const sum = readNumber(fields[settings.numerator], settings.numerator);
    const sumSquares = readNumber(fields[settings.numeratorSquares], settings.numeratorSquares);
    const proportion = method === 'chi-squared' || !continuous.has(groupOf(fields));
    const sample = proportion
      ? proportionSample({ count, successes: sum })
      : meanSampleFromSums({ count, sum, sumSquares });
    const interval = summaryInterval(sample, method, 1 - settings.intervalSize);
    return { fields, method, count, sample, binary: isBinary(fields), interval };
  });
}

function readMethod(value: unknown): Method {
  if (value === 'z-test' || value === 't-test' || value === 'chi-squared') return value;
  throw new TypeError(`there is no runner for the method ${String(value)}`);
}

function summaryInterval(sample: Sample, method: Method, alpha: number): Interval {
  const interval = intervalOf(sample.mean, Math.sqrt(varianceOfSample(sample) / sample.count), {
    alpha,
    alternative: 'two-sided',
    distribution: method === 't-test' ? { kind: 'student', degreesOfFreedom: sample.count - 1 } : { kind: 'normal' },
  });
  if (method !== 'chi-squared') return interval;
  return { lower: Math.min(1, Math.max(0, interval.lower)), upper: Math.min(1, Math.max(0, interval.upper)) };
}

/** A level as text: its values joined, whether it came as one value or as a list. */
export function levelText(level: unknown): string {
  return Array.isArray(level) ? level.map(String).join(', ') : String(level);
}

export function valuesText(row: JsonRecord, columns: readonly string[]): string {
  return columns.map((column) => String(row[column])).join(', ');
}

/** Rows by the text of a key, in order of first appearance. */
export function groupRows<Row>(rows: readonly Row[], keyOf: (row: Row) => string): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return groups;
}
