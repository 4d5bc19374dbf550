// The two outcomes of every calculation in this folder: a computed value, or the reason why there is none.

/** Why a statistic does not exist for its inputs; stable codes, safe to store and to switch on. */
export type NotComputableReason =
  | 'no-data'
  | 'too-few-units'
  | 'zero-variance'
  | 'negative-variance'
  | 'zero-baseline-mean'
  | 'zero-denominator'
  | 'no-overlap'
  | 'not-converged'
  | 'invalid-input';

export type NotComputable = {
  readonly status: 'not-computable';
  readonly reason: NotComputableReason;
  /** One sentence for a person, with the numbers that made it impossible. */
  readonly detail: string;
};

export type Computed<T> = { readonly status: 'computed' } & T;

/** A value of `T`, or a reason; never a neutral number that could be charted as "no effect". */
export type Outcome<T> = Computed<T> | NotComputable;

export function computed<T extends object>(value: T): Computed<T> {
  return { status: 'computed', ...value };
}

export function notComputable(reason: NotComputableReason, detail: string): NotComputable {
  return { status: 'not-computable', reason, detail };
}

export function isComputed<T>(outcome: Outcome<T>): outcome is Computed<T> {
  return outcome.status === 'computed';
}
