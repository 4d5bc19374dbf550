// What one simulation answers: a measured number and the range that it has to be in.
import { isComputed, type Outcome } from '#domain/statistics/result.ts';

export type Finding = {
  readonly name: string;
  readonly measured: number;
  /** Inclusive. */
  readonly least: number;
  readonly most: number;
  readonly runs: number;
};

export function isWithin({ measured, least, most }: Finding): boolean {
  return measured >= least && measured <= most;
}

/** In a simulation every result has to exist: a missing one would count as neither right nor wrong. */
export function mustCompute<T>(outcome: Outcome<T>): T {
  if (isComputed(outcome)) return outcome;
  throw new Error(`a simulated result is not computable: ${outcome.reason}, ${outcome.detail}`);
}
