// Results as JSON for programs: keys in snake_case, ends of intervals that are open as null.

/** Names of the fields of a value in snake_case, all the way down; texts, times and numbers stay as they are. */
export function toWire(value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (Array.isArray(value)) return value.map(toWire);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [toSnakeCase(key), toWire(field)]));
}

function toSnakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
