// The distributions that the tests need, on top of the stdlib special functions, accurate to 1e-10 (checked against SciPy).
import betainc from '@stdlib/math-base-special-betainc';
import erfc from '@stdlib/math-base-special-erfc';
import erfcinv from '@stdlib/math-base-special-erfcinv';
import gammainc from '@stdlib/math-base-special-gammainc';
import gammaln from '@stdlib/math-base-special-gammaln';
import studentT from '@stdlib/stats-base-dists-t-quantile';

/** Density of the standard normal distribution. */
export function normalDensity(z: number): number {
  return Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
}

/** P(Z <= z) for a standard normal Z. */
export function normalCdf(z: number): number {
  return 0.5 * erfc(-z / Math.SQRT2);
}

/** P(Z > z) for a standard normal Z, without loss of digits in the upper tail. */
export function normalSurvival(z: number): number {
  return 0.5 * erfc(z / Math.SQRT2);
}

/** The z with P(Z <= z) = probability; infinite at 0 and 1, NaN outside. */
export function normalQuantile(probability: number): number {
  return -Math.SQRT2 * erfcinv(2 * probability);
}

/** P(T > t) for a Student t variable; `degreesOfFreedom` need not be an integer. */
export function studentSurvival(t: number, degreesOfFreedom: number): number {
  if (Number.isNaN(t) || !(degreesOfFreedom > 0)) return Number.NaN;
  if (t === Number.POSITIVE_INFINITY) return 0;
  if (t === Number.NEGATIVE_INFINITY) return 1;
  const square = t * t;
  // Both forms equal I_{v/(v+t^2)}(v/2, 1/2); the second keeps its digits when t^2 is small against v.
  const twoSided =
    square > degreesOfFreedom
      ? betainc(degreesOfFreedom / (degreesOfFreedom + square), degreesOfFreedom / 2, 0.5)
      : betainc(square / (degreesOfFreedom + square), 0.5, degreesOfFreedom / 2, true, true);
  return t >= 0 ? twoSided / 2 : 1 - twoSided / 2;
}

/** The t with P(T <= t) = probability for a Student t variable. */
export function studentQuantile(probability: number, degreesOfFreedom: number): number {
  return studentT(probability, degreesOfFreedom);
}

/** P(X > x) for a chi-square variable X. */
export function chiSquareSurvival(x: number, degreesOfFreedom: number): number {
  if (x <= 0) return 1;
  return gammainc(x / 2, degreesOfFreedom / 2, true, true);
}

/** ln B(alpha), the logarithm of the multivariate beta function: sum of ln Gamma(a) minus ln Gamma(sum of a). */
export function logMultivariateBeta(alpha: readonly number[]): number {
  return alpha.reduce((sum, a) => sum + gammaln(a), 0) - gammaln(alpha.reduce((sum, a) => sum + a, 0));
}
