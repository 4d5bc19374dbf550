// Compares what a command printed with what a page says it prints; `…` on the page stands for whatever differs from run to run.
import { isDeepStrictEqual } from 'node:util';

const anything = '…';

function toPattern(line: string): RegExp {
  const parts = line.split(anything).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  // Columns are as wide as their widest cell, which may be another one in another run.
  return new RegExp(`^${parts.join('.*').replaceAll(/\s+/g, '\\s+')}$`);
}

/**
 * The first line of the page that was not printed, or null: lines must come in order, and a line `…` alone skips any number. Space
 * around a line does not count, nor how much there is inside.
 */
export function findMissingLine(expected: string, printed: string): string | null {
  const lines = printed.split('\n').map((line) => line.trim());
  let at = 0;
  let maySkip = false;
  for (const line of expected.split('\n').map((text) => text.trim())) {
    if (line === anything) {
      maySkip = true;
      continue;
    }
    const pattern = toPattern(line);
    const found = lines.findIndex((text, index) => index >= at && pattern.test(text));
    if (found === -1 || (found !== at && !maySkip)) return line;
    at = found + 1;
    maySkip = false;
  }
  return null;
}

/**
 * The path of the first value of the page that the printed JSON does not have, or null. Fields that the page leaves out may be
 * there; a text with `…` matches as in a line, and a list that ends with `"…"` may go on.
 */
export function findJsonDifference(expected: unknown, printed: unknown, path = '$'): string | null {
  if (expected === anything) return printed === undefined ? path : null;
  if (typeof expected === 'string' && expected.includes(anything)) {
    return typeof printed === 'string' && toPattern(expected).test(printed) ? null : path;
  }
  if (Array.isArray(expected)) {
    if (!Array.isArray(printed)) return path;
    const goesOn = expected.at(-1) === anything;
    const shown = goesOn ? expected.slice(0, -1) : expected;
    if (goesOn ? printed.length < shown.length : printed.length !== shown.length) return `${path}.length`;
    return firstDifference(shown.map((value, index) => [`${path}[${index}]`, value, printed[index]] as const));
  }
  if (typeof expected === 'object' && expected !== null) {
    if (typeof printed !== 'object' || printed === null) return path;
    const fields = printed as Record<string, unknown>;
    return firstDifference(
      Object.entries(expected).map(([name, value]) => [`${path}.${name}`, value, fields[name]] as const),
    );
  }
  return isDeepStrictEqual(expected, printed) ? null : path;
}

function firstDifference(entries: readonly (readonly [string, unknown, unknown])[]): string | null {
  for (const [path, expected, printed] of entries) {
    const difference = findJsonDifference(expected, printed, path);
    if (difference !== null) return difference;
  }
  return null;
}

/** What is wrong with the output, in words, or null. JSON is the last line of the output or all of it. */
export function findOutputProblem(output: { language: string; text: string }, printed: string): string | null {
  if (output.language !== 'json') {
    const missing = findMissingLine(output.text, printed);
    return missing === null ? null : `the page promises the line\n  ${missing}\nand it printed\n${printed}`;
  }
  let value: unknown;
  try {
    value = JSON.parse(printed);
  } catch {
    return `the page promises JSON, and it printed\n${printed}`;
  }
  const path = findJsonDifference(JSON.parse(output.text), value);
  return path === null ? null : `${path} is not as on the page; it printed\n${JSON.stringify(value, null, 2)}`;
}
