// Collects how computed values differ from expected ones, within a tolerance.
import { isComputed, type Outcome } from '#domain/statistics/result.ts';

/** Absolute up to a magnitude of one, relative above. */
export const TOLERANCE = 1e-6;

export type Differences = {
  number(name: string, actual: number, expected: number, tolerance?: number): void;
  equal(name: string, actual: unknown, expected: unknown): void;
  /** True when nothing differed, else a text that lists what did. */
  verdict(): boolean | string;
};

export function isClose(actual: number, expected: number, tolerance = TOLERANCE): boolean {
  if (actual === expected) return true;
  return Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected));
}

export function createDifferences(): Differences {
  const found: string[] = [];
  let compared = 0;
  return {
    number(name, actual, expected, tolerance = TOLERANCE) {
      compared += 1;
      if (!isClose(actual, expected, tolerance)) found.push(`${name} is ${actual}, expected ${expected}`);
    },
    equal(name, actual, expected) {
      compared += 1;
      const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
      if (a !== b) found.push(`${name} is ${a}, expected ${b}`);
    },
    verdict: () => (compared === 0 ? 'nothing was compared' : found.length === 0 || found.join('; ')),
  };
}

/** The value of an outcome that must be computed. */
export function expectComputed<T>(outcome: Outcome<T>): T {
  if (isComputed(outcome)) return outcome;
  throw new Error(`not computable: ${outcome.reason} (${outcome.detail})`);
}
