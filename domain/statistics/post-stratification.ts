// Effects averaged over strata (countries, platforms, assignment periods of a ramp), so that a mix that differs between
// variants, or changes over time, cannot pass for an effect.
//
// Sources: Miratrix, Sekhon, Yu 2013, "Adjusting treatment effect estimates by post-stratification in randomized
// experiments"; the covariance for random stratum sizes, the joining of small strata and the delta method as in gbstats 0.8.0.
import {
  adjustForCovariate,
  type Effect,
  type EffectOptions,
  type EffectScale,
  estimateEffect,
  mergeStatistics,
  refuseWithoutBaseline,
  refuseWithoutVariance,
} from './effect.ts';
import { bilinear } from './matrix.ts';
import { ratioStatistic } from './ratio.ts';
import { computed, isComputed, notComputable, type Outcome } from './result.ts';
import { varianceOfSample } from './sample.ts';
import { hasVariance, linearize, type Statistic, sampleStatistic } from './statistic.ts';
import { estimateStratum, type Stratum } from './stratum.ts';

/** Control and treatment of one stratum. */
export type StatisticPair = readonly [control: Statistic, treatment: Statistic];

export type StratifiedEffect = Effect & { readonly strataCount: number };

/** Regressing a ratio on two covariates takes more units than this in a stratum. */
const SMALLEST_RATIO_STRATUM = 6;

/**
 * The effect over all strata, each weighted by its share of units. Strata in which an effect cannot be computed are
 * joined with the largest one; when only one is left this is the plain effect, with its covariate.
 */
export function stratifiedEffect(strata: readonly StatisticPair[], options: EffectOptions): Outcome<StratifiedEffect> {
  if (strata.length === 0) return notComputable('no-data', 'there is no stratum');
  const pairs = dropConstantCovariate(strata);
  const [control, treatment] = mergePairs(pairs);
  const refusal = refuseWithoutVariance(control, treatment) ?? refuseWithoutBaseline(linearize(control), options);
  if (refusal !== null) return refusal;
  const joined = joinSmallStrata(pairs);
  if (joined.length === 1) {
    const effect = estimateEffect(...adjustForCovariate(...joined[0]!), options);
    return isComputed(effect) ? { ...effect, strataCount: 1 } : effect;
  }
  const estimated: Stratum[] = [];
  for (const pair of joined) {
    const refused = refuseWithoutVariance(...pair);
    if (refused !== null) return refused;
    const stratum = estimateStratum(...pair);
    if (!isComputed(stratum)) return stratum;
    estimated.push(stratum);
  }
  return combine(estimated, options);
}

function mergePairs(pairs: readonly StatisticPair[]): StatisticPair {
  return [mergeStatistics(pairs.map(([control]) => control)), mergeStatistics(pairs.map(([, treatment]) => treatment))];
}

/** Without the covariate when it is constant over all units of a variant, since there is nothing to regress on. */
function dropConstantCovariate(pairs: readonly StatisticPair[]): readonly StatisticPair[] {
  const varies = mergePairs(pairs).every((statistic) => {
    if (statistic.kind === 'cuped') return varianceOfSample(statistic.pre) > 0;
    if (statistic.kind !== 'cuped-ratio') return true;
    return varianceOfSample(statistic.pre.numerator) > 0 && varianceOfSample(statistic.pre.denominator) > 0;
  });
  return varies ? pairs : pairs.map(([control, treatment]) => [withoutCovariate(control), withoutCovariate(treatment)]);
}

function withoutCovariate(statistic: Statistic): Statistic {
  if (statistic.kind === 'cuped') return sampleStatistic(statistic.post);
  return statistic.kind === 'cuped-ratio' ? ratioStatistic(statistic.post) : statistic;
}

function unitsOf([control, treatment]: StatisticPair): number {
  return control.count + treatment.count;
}

function joinSmallStrata(pairs: readonly StatisticPair[]): StatisticPair[] {
  const [largest, ...others] = [...pairs].sort((a, b) => unitsOf(b) - unitsOf(a));
  const joined = [largest!];
  for (const pair of others) {
    const bigEnough = pair[0].kind !== 'cuped-ratio' || unitsOf(pair) > SMALLEST_RATIO_STRATUM;
    if (bigEnough && pair.every(hasVariance)) joined.push(pair);
    else joined[0] = mergePairs([joined[0]!, pair]);
  }
  return joined;
}

function combine(strata: readonly Stratum[], options: EffectOptions): Outcome<StratifiedEffect> {
  const units = strata.reduce((sum, stratum) => sum + stratum.units, 0);
  const shares = strata.map((stratum) => stratum.units / units);
  const size = strata[0]!.means.length;
  const indices = Array.from({ length: size }, (_, i) => i);
  const means = indices.map((i) => strata.reduce((sum, stratum, s) => sum + shares[s]! * stratum.means[i]!, 0));
  // Within strata, and between them: stratum sizes are multinomial, so the average moves with them.
  const covariance = indices.map((i) =>
    indices.map((j) => {
      let sum = 0;
      for (const [s, stratum] of strata.entries()) {
        const between = (stratum.means[i]! - means[i]!) * (stratum.means[j]! - means[j]!);
        sum += shares[s]! * (stratum.covariance[i]![j]! + between);
      }
      return sum / units;
    }),
  );
  const [estimate, gradient] = size === 2 ? ofMean(means, options.scale) : ofRatio(means, options.scale);
  const variance = bilinear(gradient, covariance, gradient);
  const baseline = size === 2 ? means[0]! : means[0]! / means[2]!;
  const refusal = refuseWithoutBaseline({ value: baseline, baseline }, options);
  if (refusal !== null) return refusal;
  if (!(variance > 0)) return notComputable('zero-variance', 'the variance of the stratified effect is not positive');
  return computed({
    scale: options.scale,
    estimate,
    standardError: Math.sqrt(variance),
    unitCount: units,
    strataCount: strata.length,
  });
}

type Linear = [estimate: number, gradient: number[]];

function ofMean(means: readonly number[], scale: EffectScale): Linear {
  const [control, effect] = means as [number, number];
  if (scale === 'absolute') return [effect, [0, 1]];
  return [effect / Math.abs(control), [-effect / control ** 2, 1 / control]];
}

/** Of numerator and denominator: control mean and effect of each. */
function ofRatio(means: readonly number[], scale: EffectScale): Linear {
  const [m, dm, d, dd] = means as [number, number, number, number];
  const control = m / d;
  const treatment = (m + dm) / (d + dd);
  const slopeOfTreatment = [1 / (d + dd), 1 / (d + dd), -treatment / (d + dd), -treatment / (d + dd)];
  const slopeOfControl = [1 / d, 0, -control / d, 0];
  if (scale === 'absolute') {
    return [treatment - control, slopeOfTreatment.map((slope, i) => slope - slopeOfControl[i]!)];
  }
  const relative = treatment / control;
  return [
    (relative - 1) * Math.sign(control),
    slopeOfTreatment.map((slope, i) => slope / control - (relative / control) * slopeOfControl[i]!),
  ];
}
