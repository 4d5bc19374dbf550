// Parses the lines of an Open Bandit CSV file into impressions, with errors that say file, line and column.

export type Impression = {
  /** 1 for the first line after the header. */
  readonly rowNumber: number;
  readonly policy: string;
  /** ISO 8601 in UTC with milliseconds; finer digits of the file are cut off. */
  readonly timestamp: string;
  readonly itemId: number;
  readonly position: number;
  readonly click: 0 | 1;
  /** Probability with which the policy shows this item at this position, in (0, 1]. */
  readonly actionPropensity: number;
  /** The user features and every further column of the file, by column name, as text. */
  readonly features: Readonly<Record<string, string>>;
};

const requiredColumns = ['policy', 'timestamp', 'item_id', 'position', 'click', 'propensity_score'] as const;
type RequiredColumn = (typeof requiredColumns)[number];

type Position = { readonly file: string; readonly line: number; readonly column?: string };

/** The file is not what it should be; the message begins with `file:line` or `file:line:column`. */
export class OpenBanditFileError extends Error {
  constructor(problem: string, at: Position) {
    super(
      [at.file, at.line, at.column]
        .filter((part) => part !== undefined)
        .join(':')
        .concat(`: ${problem}`),
    );
    this.name = 'OpenBanditFileError';
  }
}

export type OpenBanditHeader = {
  readonly file: string;
  readonly columns: readonly string[];
  readonly indexOf: Readonly<Record<RequiredColumn, number>>;
};

/**
 * Reads the header line: the required columns in any order, further columns are kept as features.
 *
 * @throws OpenBanditFileError naming every missing, empty or repeated column.
 */
export function parseHeader(line: string, file: string): OpenBanditHeader {
  const columns = splitCsvLine(line.replace(/^\uFEFF/, ''), { file, line: 1 });
  const missing = requiredColumns.filter((column) => !columns.includes(column));
  const repeated = columns.filter((column, index) => columns.indexOf(column) !== index);
  const problems = [
    ...(missing.length > 0 ? [`missing column ${missing.join(', ')}`] : []),
    ...(repeated.length > 0 ? [`column given twice: ${repeated.join(', ')}`] : []),
    ...(columns.includes('') ? ['a column without a name'] : []),
  ];
  if (problems.length > 0) throw new OpenBanditFileError(problems.join('; '), { file, line: 1 });
  const indexOf = Object.fromEntries(requiredColumns.map((column) => [column, columns.indexOf(column)])) as Record<
    RequiredColumn,
    number
  >;
  return { file, columns, indexOf };
}

/**
 * Reads one line after the header.
 *
 * @throws OpenBanditFileError at the first value that cannot be what its column holds.
 */
export function parseImpression(line: string, rowNumber: number, header: OpenBanditHeader): Impression {
  const at = { file: header.file, line: rowNumber + 1 };
  const values = splitCsvLine(line, at);
  if (values.length !== header.columns.length) {
    throw new OpenBanditFileError(`expected ${header.columns.length} values, got ${values.length}`, at);
  }
  const read = <T>(column: RequiredColumn, expected: string, parse: (text: string) => T | null): T => {
    const text = values[header.indexOf[column]] ?? '';
    const value = parse(text);
    if (value === null) {
      throw new OpenBanditFileError(`expected ${expected}, got ${JSON.stringify(text)}`, { ...at, column });
    }
    return value;
  };
  return {
    rowNumber,
    policy: read('policy', 'the name of a policy', (text) => (text === '' ? null : text)),
    timestamp: read('timestamp', 'a time such as 2019-11-24T00:01:03.979311Z', parseUtcTime),
    itemId: read('item_id', 'a whole number of at least 0', (text) => parseInteger(text, 0)),
    position: read('position', 'a whole number of at least 1', (text) => parseInteger(text, 1)),
    click: read('click', '0 or 1', (text) => (text === '0' ? 0 : text === '1' ? 1 : null)),
    actionPropensity: read('propensity_score', 'a number above 0 and at most 1', parseProbability),
    features: Object.fromEntries(
      header.columns.flatMap((column, index) => (isRequired(column) ? [] : [[column, values[index] ?? '']])),
    ),
  };
}

/** Parses lines as they come; holds one line at a time. The first must be the header; empty lines are errors except at the end. */
export async function* parseOpenBandit(lines: AsyncIterable<string>, file: string): AsyncGenerator<Impression> {
  let header: OpenBanditHeader | null = null;
  let rowNumber = 0;
  let sawEmptyLine = false;
  for await (const line of lines) {
    if (header === null) {
      header = parseHeader(line, file);
      continue;
    }
    rowNumber += 1;
    if (sawEmptyLine) throw new OpenBanditFileError('an empty line', { file, line: rowNumber });
    if (line === '') sawEmptyLine = true;
    else yield parseImpression(line, rowNumber, header);
  }
  if (header === null) throw new OpenBanditFileError('the file is empty', { file, line: 1 });
  if (rowNumber - (sawEmptyLine ? 1 : 0) === 0) {
    throw new OpenBanditFileError('no impressions after the header', { file, line: 1 });
  }
}

/** The experiment key of a file: its name without folder and endings, as in open-bandit-men. */
export function toExperimentKey(path: string): string {
  const name = path.split(/[\\/]/).at(-1) ?? '';
  const key = name
    .replace(/\.gz$/i, '')
    .replace(/\.csv$/i, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  if (key === '') {
    throw new OpenBanditFileError('the file name has no letter or digit to make an experiment key of', {
      file: name,
      line: 1,
    });
  }
  return key;
}

/** One line of CSV by RFC 4180; quoted values may hold commas and doubled quotes, but no line break. */
function splitCsvLine(line: string, at: Position): string[] {
  const text = line.endsWith('\r') ? line.slice(0, -1) : line;
  if (!text.includes('"')) return text.split(',');
  const values: string[] = [];
  const value = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;
  for (;;) {
    const match = value.exec(text);
    if (!match) throw new OpenBanditFileError(`a quote that is not closed or stands inside a value`, at);
    values.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    if (match[3] === '') return values;
  }
}

const timePattern = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})?$/;

/** The column is defined as UTC, so a time without a zone is UTC. */
function parseUtcTime(text: string): string | null {
  const match = timePattern.exec(text);
  if (!match) return null;
  const [, date, time, fraction = '', zone = 'Z'] = match;
  const parsed = new Date(`${date}T${time}.${fraction.slice(0, 3).padEnd(3, '0')}${zone}`);
  if (Number.isNaN(parsed.getTime())) return null;
  // Date rolls impossible days over ("02-30" becomes March); such a value is an error here.
  const asGiven = new Date(`${date}T00:00:00Z`).toISOString().slice(0, 10);
  return asGiven === date ? parsed.toISOString() : null;
}

function parseInteger(text: string, least: number): number | null {
  const value = Number(text);
  return /^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least ? value : null;
}

function parseProbability(text: string): number | null {
  const value = Number(text);
  return text.trim() !== '' && value > 0 && value <= 1 ? value : null;
}

function isRequired(column: string): boolean {
  return (requiredColumns as readonly string[]).includes(column);
}
