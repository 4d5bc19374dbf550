// Tests that stay valid however often they are looked at: asymptotic confidence sequences.
//
// Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2023, "Time-uniform central limit theory and asymptotic confidence
// sequences" (arXiv:2103.06476v7): two-sided equation 9, one-sided equation 134, p-value equation 155, tuning equation 161.
// Parameters as in gbstats 0.8.0: with N units of both variants and variance v = N * standardError^2 of one unit, the
// sequence is estimate -/+ sqrt(v) * sqrt(2 (N rho^2 + 1) / (N rho)^2 * ln(sqrt(N rho^2 + 1) / alpha)).
import type { Effect } from './effect.ts';
import type { Alternative, Interval } from './hypothesis.ts';
import { computed, isComputed, notComputable, type Outcome } from './result.ts';
import type { TestResult } from './t-test.ts';

/** The number of units of both variants at which the sequence is tightest, when nothing better is known. */
export const DEFAULT_TUNING_UNITS = 5000;

export type SequentialOptions = {
  readonly alpha: number;
  readonly alternative?: Alternative;
  readonly nullEffect?: number;
  /** Where the sequence is tightest, in units of both variants; fix it before the first look. */
  readonly tuningUnits?: number;
  /** Overrides the value derived from `alpha` and `tuningUnits`. */
  readonly rho?: number;
};

/** The mixture parameter that makes the sequence tightest at `tuningUnits`. */
export function sequentialRho(options: { alpha: number; tuningUnits: number; twoSided: boolean }): number {
  const alpha = options.twoSided ? options.alpha : 2 * options.alpha;
  const logarithm = -2 * Math.log(alpha);
  return Math.sqrt((logarithm + Math.log(logarithm + 1)) / options.tuningUnits);
}

/** Half the width of the two-sided sequence; `variance` is that of one unit. */
export function sequentialHalfWidth(at: { variance: number; units: number; alpha: number; rho: number }): number {
  const information = at.units * at.rho ** 2 + 1;
  const factor = ((2 * information) / (at.units * at.rho) ** 2) * Math.log(Math.sqrt(information) / at.alpha);
  return Math.sqrt(at.variance * factor);
}

/** Distance of the one-sided bound from the estimate; `variance` is that of one unit. */
export function sequentialOneSidedWidth(at: { variance: number; units: number; alpha: number; rho: number }): number {
  const information = at.units * at.rho ** 2 + 1;
  const factor = (2 * information) / (at.units * at.rho) ** 2;
  return Math.sqrt(at.variance * factor * Math.log1p(Math.sqrt(information) / (2 * at.alpha)));
}

/**
 * An always-valid test: the probability that the interval ever excludes the truth is at most alpha, over all looks.
 * One-sided tests need alpha below 0.5; their p-value is searched in [1e-5, 0.4999] and is one of these ends outside.
 */
export function sequentialTest(effect: Outcome<Effect>, options: SequentialOptions): Outcome<TestResult> {
  if (!isComputed(effect)) return effect;
  const alternative = options.alternative ?? 'two-sided';
  const twoSided = alternative === 'two-sided';
  const { alpha } = options;
  if (!(alpha > 0 && alpha < (twoSided ? 1 : 0.5))) {
    return notComputable('invalid-input', `alpha ${alpha} is outside what an always-valid ${alternative} test allows`);
  }
  const tuningUnits = options.tuningUnits ?? DEFAULT_TUNING_UNITS;
  const rho = options.rho ?? sequentialRho({ alpha, tuningUnits, twoSided });
  const { estimate, standardError, unitCount: units, scale } = effect;
  const nullEffect = options.nullEffect ?? 0;
  const variance = standardError ** 2 * units;
  const pValue = twoSided
    ? twoSidedPValue({ ...effect, nullEffect, rho })
    : oneSidedPValue({ ...effect, nullEffect, rho, alternative });
  if (pValue === null) return notComputable('not-converged', 'the search for the p-value did not converge');
  const interval: Interval = twoSided
    ? bothSides(estimate, sequentialHalfWidth({ variance, units, alpha, rho }))
    : oneSide(estimate, sequentialOneSidedWidth({ variance, units, alpha, rho }), alternative);
  return computed({ scale, estimate, standardError, unitCount: units, interval, pValue, alpha, alternative });
}

function bothSides(estimate: number, halfWidth: number): Interval {
  return { lower: estimate - halfWidth, upper: estimate + halfWidth };
}

function oneSide(estimate: number, width: number, alternative: Alternative): Interval {
  return alternative === 'larger'
    ? { lower: estimate - width, upper: Number.POSITIVE_INFINITY }
    : { lower: Number.NEGATIVE_INFINITY, upper: estimate + width };
}

type Tested = { estimate: number; standardError: number; unitCount: number; nullEffect: number; rho: number };

function twoSidedPValue({ estimate, standardError, unitCount, nullEffect, rho }: Tested): number {
  const information = unitCount * rho ** 2 + 1;
  const squared = ((estimate - nullEffect) / standardError) ** 2 * unitCount;
  return Math.min(1, Math.exp(0.5 * Math.log(information) - (rho ** 2 * squared) / (2 * information)));
}

const SMALLEST_ONE_SIDED = 1e-5;
const LARGEST_ONE_SIDED = 0.4999;
/** The search ends when the bound is this close to the null value, on the scale of the effect. */
const BOUND_TOLERANCE = 1e-6;

/** The alpha at which the one-sided bound touches the null value, by bisection as in gbstats. */
function oneSidedPValue(tested: Tested & { alternative: Alternative }): number | null {
  const { estimate, standardError, unitCount: units, nullEffect, rho, alternative } = tested;
  // Mirrored so that the bound moves up, towards the null value, as alpha grows.
  const distance = alternative === 'larger' ? estimate - nullEffect : nullEffect - estimate;
  const variance = standardError ** 2 * units;
  const boundAt = (alpha: number): number => distance - sequentialOneSidedWidth({ variance, units, alpha, rho });
  if (boundAt(SMALLEST_ONE_SIDED) > 0) return SMALLEST_ONE_SIDED;
  if (boundAt(LARGEST_ONE_SIDED) < 0) return LARGEST_ONE_SIDED;
  let low = SMALLEST_ONE_SIDED;
  let high = LARGEST_ONE_SIDED;
  let alpha = 0.5 * (low + high);
  for (let i = 0; i < 100; i++) {
    const bound = boundAt(alpha);
    if (bound < 0) low = alpha;
    else high = alpha;
    alpha = 0.5 * (low + high);
    if (Math.abs(bound) < BOUND_TOLERANCE) return alpha;
  }
  return null;
}
