// Reads values out of parsed vector files, with an error that says which field has another shape.

export type JsonRecord = Readonly<Record<string, unknown>>;

export function readRecord(value: unknown, name = 'value'): JsonRecord {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonRecord;
  throw new TypeError(`${name} is not an object`);
}

export function readList(value: unknown, name = 'value'): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new TypeError(`${name} is not a list`);
}

export function readText(value: unknown, name = 'value'): string {
  if (typeof value === 'string') return value;
  throw new TypeError(`${name} is not a text`);
}

/** JSON has no infinities, so vector files write them as text. */
export function readNumber(value: unknown, name = 'value'): number {
  if (typeof value === 'number') return value;
  if (value === 'Infinity') return Number.POSITIVE_INFINITY;
  if (value === '-Infinity') return Number.NEGATIVE_INFINITY;
  throw new TypeError(`${name} is not a number`);
}

export function readNumbers(value: unknown, name = 'value'): number[] {
  return readList(value, name).map((item) => readNumber(item, name));
}

/** The number of a field, or the fallback where it is missing or null. */
export function readNumberOr(value: unknown, fallback: number, name = 'value'): number {
  return value === undefined || value === null ? fallback : readNumber(value, name);
}
