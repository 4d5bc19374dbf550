// Results of commands as text for people and as JSON for programs; pure.

/** JSON of a result: bigints as numbers where they are exact and as text beyond, times as ISO text, bytes as base64. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, entry: unknown) => {
    if (typeof entry === 'bigint') {
      const number = Number(entry);
      return Number.isSafeInteger(number) ? number : entry.toString();
    }
    if (entry instanceof Map) return Object.fromEntries(entry as Map<string, unknown>);
    // A buffer arrives here as what its own toJSON made of it.
    const buffer = entry as { type?: unknown; data?: unknown } | null;
    if (typeof buffer === 'object' && buffer !== null && buffer.type === 'Buffer' && Array.isArray(buffer.data))
      return Buffer.from(buffer.data as number[]).toString('base64');
    return entry;
  });
}

export type Cell = string | number | bigint | boolean | Date | null | undefined;

export function toCellText(cell: Cell): string {
  if (cell === null || cell === undefined) return '-';
  if (cell instanceof Date) return cell.toISOString();
  return String(cell);
}

const isNumeric = (cell: Cell): boolean => typeof cell === 'number' || typeof cell === 'bigint';

/** Lines of a table with aligned columns; numbers to the right. Control characters are shown, so that no cell breaks a line. */
export function formatTable(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) =>
    header.map((_, column) => toCellText(row[column]).replace(/\p{Cc}/gu, (c) => JSON.stringify(c).slice(1, -1))),
  );
  const widths = header.map((name, column) => Math.max(name.length, ...texts.map((row) => row[column]!.length)));
  const right = header.map((_, column) => rows.length > 0 && rows.every((row) => isNumeric(row[column])));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (right[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd();
  return [line(header), ...texts.map(line)].join('\n');
}

/** A duration in the unit that a person would use. */
export function formatSeconds(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}
