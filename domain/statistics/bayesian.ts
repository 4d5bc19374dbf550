// Bayesian reading of an effect: posterior, chance to win and expected loss, with a normal prior or a flat one.
//
// Source: normal likelihood with known variance and its conjugate prior (Gelman et al. 2013, Bayesian Data Analysis,
// section 2.5); expected loss as in Stucchio 2015, "Bayesian A/B testing at VWO"; conventions of gbstats 0.8.0.
import type { Effect, EffectScale } from './effect.ts';
import type { Interval } from './hypothesis.ts';
import { computed, isComputed, notComputable, type Outcome } from './result.ts';
import { normalCdf, normalDensity, normalQuantile, normalSurvival } from './special-functions.ts';

/** A normal belief about the effect before the experiment, on the scale of the effect. */
export type EffectPrior = { readonly mean: number; readonly variance: number };

export type BayesianOptions = {
  readonly alpha: number;
  /** Null is the flat prior: the posterior is the likelihood. */
  readonly prior: EffectPrior | null;
  /** True when less is better. */
  readonly lowerIsBetter?: boolean;
};

export type BayesianResult = {
  readonly scale: EffectScale;
  readonly posteriorMean: number;
  readonly posteriorDeviation: number;
  /** Credible interval of probability 1 - alpha, equal tails. */
  readonly interval: Interval;
  /** Probability that treatment is better than control. */
  readonly chanceToWin: number;
  /** What is lost on average by keeping control, or by choosing treatment, on the scale of the effect; not negative. */
  readonly expectedLoss: { readonly keepControl: number; readonly chooseTreatment: number };
};

/** A prior stated relative to the control mean as one on the absolute scale. */
export function priorInMetricUnits(prior: EffectPrior, controlMean: number): EffectPrior {
  return { mean: prior.mean * Math.abs(controlMean), variance: prior.variance * controlMean ** 2 };
}

/** The means of the positive and of the negative part of a normal variable: E max(X, 0) and E max(-X, 0). */
export function normalParts(mean: number, deviation: number): { positive: number; negative: number } {
  const z = mean / deviation;
  // The part on the far side, written so that two large numbers are not subtracted.
  const far = Math.max(0, deviation * (normalDensity(z) - Math.abs(z) * normalSurvival(Math.abs(z))));
  return mean >= 0 ? { positive: mean + far, negative: far } : { positive: far, negative: far - mean };
}

export function bayesianTest(effect: Outcome<Effect>, options: BayesianOptions): Outcome<BayesianResult> {
  if (!isComputed(effect)) return effect;
  const { prior } = options;
  if (prior !== null && !(prior.variance > 0))
    return notComputable('invalid-input', 'the variance of a prior is positive');
  const dataPrecision = 1 / effect.standardError ** 2;
  const priorPrecision = prior === null ? 0 : 1 / prior.variance;
  const precision = dataPrecision + priorPrecision;
  const mean = (effect.estimate * dataPrecision + (prior?.mean ?? 0) * priorPrecision) / precision;
  const deviation = Math.sqrt(1 / precision);
  const halfWidth = -normalQuantile(options.alpha / 2) * deviation;
  const positive = normalCdf(mean / deviation);
  const parts = normalParts(mean, deviation);
  const inverse = options.lowerIsBetter === true;
  return computed({
    scale: effect.scale,
    posteriorMean: mean,
    posteriorDeviation: deviation,
    interval: { lower: mean - halfWidth, upper: mean + halfWidth },
    chanceToWin: inverse ? normalSurvival(mean / deviation) : positive,
    expectedLoss: inverse
      ? { keepControl: parts.negative, chooseTreatment: parts.positive }
      : { keepControl: parts.positive, chooseTreatment: parts.negative },
  });
}
