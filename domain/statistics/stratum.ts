// One stratum of a post-stratified effect: control mean and effect of each outcome, with their joint covariance.
//
// Source: post-stratification as in gbstats 0.8.0. Without a covariate these are the plain means; with one, the regression
// y = control mean + effect * [treatment] + slopes * (x - mean of x) over the units of the stratum, whose control mean also
// varies with the mean of x. A ratio has two outcomes, numerator and denominator, regressed on the same covariates.
import type { CupedRatioStatistic, CupedStatistic } from './cuped.ts';
import { mergeCuped, mergeCupedRatios } from './cuped.ts';
import { dot, invertSymmetric, type Matrix, multiplyVector } from './matrix.ts';
import type { RatioStatistic } from './ratio.ts';
import { ratioCovariance } from './ratio.ts';
import { computed, notComputable, type Outcome } from './result.ts';
import { covarianceOfSamples, type Sample, varianceOfSample } from './sample.ts';
import type { SampleStatistic, Statistic } from './statistic.ts';

/**
 * `means` holds control mean and effect of each outcome in turn; `covariance / units` is the covariance of `means`.
 */
export type Stratum = { readonly units: number; readonly means: readonly number[]; readonly covariance: Matrix };

/** The stratum of units known by these statistics of its control and treatment. */
export function estimateStratum(control: Statistic, treatment: Statistic): Outcome<Stratum> {
  if (control.kind === 'sample' && treatment.kind === 'sample') return computed(plainStratum(control, treatment));
  if (control.kind === 'ratio' && treatment.kind === 'ratio') return computed(ratioStratum(control, treatment));
  if (control.kind === 'cuped' && treatment.kind === 'cuped') return cupedStratum(control, treatment);
  if (control.kind === 'cuped-ratio' && treatment.kind === 'cuped-ratio') return cupedRatioStratum(control, treatment);
  return notComputable(
    'invalid-input',
    `statistics of kind ${control.kind} and ${treatment.kind} cannot be stratified`,
  );
}

function plainStratum(control: SampleStatistic, treatment: SampleStatistic): Stratum {
  return independentStratum(
    { count: control.count, means: [control.sample.mean], covariance: [[varianceOfSample(control.sample)]] },
    { count: treatment.count, means: [treatment.sample.mean], covariance: [[varianceOfSample(treatment.sample)]] },
  );
}

function ratioStratum(control: RatioStatistic, treatment: RatioStatistic): Stratum {
  const part = (ratio: RatioStatistic) => ({
    count: ratio.count,
    means: [ratio.numerator.mean, ratio.denominator.mean],
    covariance: ratioCovariance(ratio),
  });
  return independentStratum(part(control), part(treatment));
}

type Arm = { count: number; means: readonly number[]; covariance: Matrix };

function independentStratum(control: Arm, treatment: Arm): Stratum {
  const units = control.count + treatment.count;
  const outcomes = control.means.length;
  const means: number[] = [];
  for (let k = 0; k < outcomes; k++) means.push(control.means[k]!, treatment.means[k]! - control.means[k]!);
  return {
    units,
    means,
    covariance: blocks(outcomes, (k, l) => {
      const controlPart = (control.covariance[k]![l]! * units) / control.count;
      const treatmentPart = (treatment.covariance[k]![l]! * units) / treatment.count;
      return { meanMean: controlPart, meanEffect: -controlPart, effectEffect: controlPart + treatmentPart };
    }),
  };
}

type Block = { meanMean: number; meanEffect: number; effectEffect: number };

function blocks(outcomes: number, blockOf: (k: number, l: number) => Block): number[][] {
  const matrix = Array.from({ length: 2 * outcomes }, () => new Array<number>(2 * outcomes).fill(0));
  for (let k = 0; k < outcomes; k++) {
    for (let l = 0; l < outcomes; l++) {
      const block = blockOf(k, l);
      matrix[2 * k]![2 * l] = block.meanMean;
      matrix[2 * k]![2 * l + 1] = block.meanEffect;
      matrix[2 * k + 1]![2 * l] = block.meanEffect;
      matrix[2 * k + 1]![2 * l + 1] = block.effectEffect;
    }
  }
  return matrix;
}

function cupedStratum(control: CupedStatistic, treatment: CupedStatistic): Outcome<Stratum> {
  if (!(varianceOfSample(control.pre) > 0 && varianceOfSample(treatment.pre) > 0)) {
    return computed(plainStratum(withoutCovariate(control), withoutCovariate(treatment)));
  }
  return regressionStratum({
    control: { outcomes: [control.post], covariates: [control.pre] },
    treatment: { outcomes: [treatment.post], covariates: [treatment.pre] },
    pooled: moments(mergeCuped(control, treatment)),
    // Parameters and one for the estimated mean of the covariate, as in gbstats.
    lostDegrees: 3,
  });
}

function withoutCovariate(statistic: CupedStatistic): SampleStatistic {
  return { kind: 'sample', count: statistic.count, sample: { ...statistic.post, family: 'mean' } };
}

function cupedRatioStratum(control: CupedRatioStatistic, treatment: CupedRatioStatistic): Outcome<Stratum> {
  const covariates = [control, treatment].flatMap(({ pre }) => [pre.numerator, pre.denominator]);
  if (!covariates.every((sample) => varianceOfSample(sample) > 0)) {
    return computed(
      ratioStratum(
        { kind: 'ratio', count: control.count, ...control.post },
        { kind: 'ratio', count: treatment.count, ...treatment.post },
      ),
    );
  }
  const arm = ({ post, pre }: CupedRatioStatistic) => ({
    outcomes: [post.numerator, post.denominator],
    covariates: [pre.numerator, pre.denominator],
  });
  return regressionStratum({
    control: arm(control),
    treatment: arm(treatment),
    pooled: ratioMoments(mergeCupedRatios(control, treatment)),
    lostDegrees: 6,
  });
}

/** Samples of all units together and their sums of products of deviations: outcomes first, covariates after. */
type Pooled = {
  outcomes: Sample[];
  covariates: Sample[];
  outcomeOutcome: Matrix;
  outcomeCovariate: Matrix;
  covariateCovariate: Matrix;
};

function moments({ post, pre, coMoment }: CupedStatistic): Pooled {
  return {
    outcomes: [post],
    covariates: [pre],
    outcomeOutcome: [[post.m2]],
    outcomeCovariate: [[coMoment]],
    covariateCovariate: [[pre.m2]],
  };
}

function ratioMoments({ post, pre, cross }: CupedRatioStatistic): Pooled {
  return {
    outcomes: [post.numerator, post.denominator],
    covariates: [pre.numerator, pre.denominator],
    outcomeOutcome: [
      [post.numerator.m2, post.coMoment],
      [post.coMoment, post.denominator.m2],
    ],
    outcomeCovariate: [
      [cross.numeratorNumerator, cross.numeratorDenominator],
      [cross.denominatorNumerator, cross.denominatorDenominator],
    ],
    covariateCovariate: [
      [pre.numerator.m2, pre.coMoment],
      [pre.coMoment, pre.denominator.m2],
    ],
  };
}

type RegressionArm = { outcomes: Sample[]; covariates: Sample[] };

/** Least squares of every outcome on [1, treatment, centered covariates], all from moments. */
function regressionStratum(input: {
  control: RegressionArm;
  treatment: RegressionArm;
  pooled: Pooled;
  lostDegrees: number;
}): Outcome<Stratum> {
  const { treatment, pooled } = input;
  const units = pooled.outcomes[0]!.count;
  const treated = treatment.outcomes[0]!.count;
  if (units <= input.lostDegrees)
    return notComputable('too-few-units', `a stratum of ${units} units is too small to regress`);
  const shifts = treatment.covariates.map((sample, j) => treated * (sample.mean - pooled.covariates[j]!.mean));
  const design = [
    [units, treated, ...shifts.map(() => 0)],
    [treated, treated, ...shifts],
    ...pooled.covariateCovariate.map((row, j) => [0, shifts[j]!, ...row]),
  ];
  const inverse = invertSymmetric(design);
  if (inverse === null) return notComputable('zero-variance', 'the covariates of a stratum are collinear');
  const products = pooled.outcomes.map((outcome, k) => [
    units * outcome.mean,
    treated * treatment.outcomes[k]!.mean,
    ...pooled.outcomeCovariate[k]!,
  ]);
  const coefficients = products.map((product) => multiplyVector(inverse, product));
  const covariateCovariance = pooled.covariates.map((x, i) =>
    pooled.covariates.map((y, j) => covarianceOfSamples(pooled.covariateCovariate[i]![j]!, x, y)),
  );
  const residual = (k: number, l: number): number => {
    const total = pooled.outcomeOutcome[k]![l]! + units * pooled.outcomes[k]!.mean * pooled.outcomes[l]!.mean;
    return (total - dot(products[k]!, coefficients[l]!)) / (units - input.lostDegrees);
  };
  const covariance = blocks(pooled.outcomes.length, (k, l) => {
    const sigma = residual(k, l);
    // The mean of the covariates is itself estimated: it moves the control mean by the slopes, and by their errors.
    let meanOfCovariates = 0;
    for (const [i, row] of covariateCovariance.entries()) {
      for (const [j, value] of row.entries()) {
        const slopes = coefficients[k]![2 + i]! * coefficients[l]![2 + j]!;
        meanOfCovariates += (value / units) * (sigma * inverse[2 + i]![2 + j]! + slopes);
      }
    }
    return {
      meanMean: units * (sigma * inverse[0]![0]! + meanOfCovariates),
      meanEffect: units * sigma * inverse[0]![1]!,
      effectEffect: units * sigma * inverse[1]![1]!,
    };
  });
  return computed({ units, means: coefficients.flatMap((row) => [row[0]!, row[1]!]), covariance });
}
