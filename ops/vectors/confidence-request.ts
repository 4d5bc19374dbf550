// What a recorded spotify-confidence call asked for: which levels to compare, on which scale, against which margins.
import { type FrameRow, levelText, listify, type Settings, valuesText } from './confidence-frame.ts';
import { type JsonRecord, readList, readNumber, readRecord } from './json-reader.ts';

export type ComparisonRequest = {
  /** Pairs of levels as texts: the first is the reference. */
  pairs: [string, string][];
  absolute: boolean;
  groupby: string[];
  levelColumns: string[];
  finalSizeColumn: string | null;
  effectColumn: string | null;
  margins: unknown;
};

const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  'experiment.difference': ['level_1', 'level_2'],
  'experiment.differences': ['levels'],
  'experiment.multiple_difference': ['level'],
};

const SHARED_PARAMETERS = ['absolute', 'groupby'];
const LATER_PARAMETERS = [
  'non_inferiority_margins',
  'final_expected_sample_size_column',
  'verbose',
  'minimum_detectable_effects_column',
];

export function readRequest(kind: string, input: JsonRecord, settings: Settings, frame: FrameRow[]): ComparisonRequest {
  const leading = PARAMETERS[kind];
  if (leading === undefined) throw new TypeError(`there is no comparison ${kind}`);
  const own = kind === 'experiment.multiple_difference' ? ['level_as_reference'] : [];
  const names = [...leading, ...SHARED_PARAMETERS, ...own, ...LATER_PARAMETERS];
  const positional = readList(input.args ?? [], 'args').map((value, i) => [names[i], value]);
  const values: JsonRecord = { ...Object.fromEntries(positional), ...readRecord(input.kwargs ?? {}, 'kwargs') };
  const groupby = listify(values.groupby);
  const levelColumns = settings.groupColumns.filter((column) => !groupby.includes(column));
  const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
  return {
    pairs: readPairs(kind, values, frame, levelColumns),
    absolute: values.absolute !== false,
    groupby,
    levelColumns,
    finalSizeColumn: text(values.final_expected_sample_size_column),
    effectColumn: text(values.minimum_detectable_effects_column),
    margins: values.non_inferiority_margins ?? null,
  };
}

function readPairs(kind: string, values: JsonRecord, frame: FrameRow[], levelColumns: string[]): [string, string][] {
  if (kind === 'experiment.difference') return [[levelText(values.level_1), levelText(values.level_2)]];
  if (kind === 'experiment.differences') {
    const levels = readList(values.levels, 'levels');
    // One pair on its own is told from a list of pairs by how deep its levels are.
    const depth = (value: unknown): number => (Array.isArray(value) ? 1 + depth(value[0]) : 0);
    const pairs = depth(levels) === (levelColumns.length > 1 ? 3 : 2) ? levels : [levels];
    return pairs.map((pair) => {
      const [first, second] = readList(pair, 'pair');
      return [levelText(first), levelText(second)];
    });
  }
  const level = levelText(values.level);
  const others = new Set(frame.map((row) => valuesText(row.fields, levelColumns)));
  others.delete(level);
  return [...others].map((other) => (values.level_as_reference === true ? [level, other] : [other, level]));
}

export type Preference = 'two-sided' | 'larger' | 'smaller';

/** A row's margin: relative and unsigned as asked for, then absolute, signed by the direction that is preferred. */
export type RowMargin = {
  margin: number | null;
  preference: Preference;
  nullDifference: number;
  /** The absolute effect to plan for; null when none was given. */
  alternative: number | null;
};

export function marginOf(row: FrameRow, request: ComparisonRequest): RowMargin {
  const [margin, direction] = requestedMargin(row, request);
  const preference: Preference =
    direction === 'increase' ? 'larger' : direction === 'decrease' ? 'smaller' : 'two-sided';
  const effectValue = request.effectColumn === null ? null : row.fields[request.effectColumn];
  const effect = typeof effectValue === 'number' ? effectValue : null;
  const signed = (share: number): number => share * row.sample.mean;
  const sign = preference === 'larger' ? -1 : 1;
  return {
    margin,
    preference,
    nullDifference: margin === null ? 0 : signed(sign * margin),
    // A guardrail is planned for no effect at all.
    alternative: margin !== null ? 0 : effect === null ? null : signed(preference === 'smaller' ? -effect : effect),
  };
}

function requestedMargin(row: FrameRow, request: ComparisonRequest): [number | null, string | null] {
  const { margins } = request;
  const pair = (value: unknown): [number | null, string | null] => {
    const [margin, direction] = readList(value, 'margin');
    return [
      margin === null || margin === undefined ? null : readNumber(margin, 'margin'),
      typeof direction === 'string' ? direction.toLowerCase() : null,
    ];
  };
  if (Array.isArray(margins)) return pair(margins);
  if (margins === true) return pair([row.fields.non_inferiority_margin, row.fields.preferred_direction]);
  if (margins === null || margins === false) {
    return pair([null, request.effectColumn === null ? null : row.fields.preferred_direction]);
  }
  const byGroup = readRecord(margins, 'non_inferiority_margins');
  const keys = request.groupby.map((column) => row.fields[column]);
  const found = byGroup[keys.length === 1 ? String(keys[0]) : pythonTuple(keys)];
  return found === undefined ? [null, null] : pair(found);
}

/** How Python writes a tuple of these values, the form in which tuples are keys of JSON objects. */
export function pythonTuple(values: readonly unknown[]): string {
  return `(${values.map((value) => (typeof value === 'string' ? `'${value}'` : String(value))).join(', ')})`;
}
