// Minimum of a function of one variable on an interval: parabolas where they fit, golden sections where they do not.
//
// Source: Brent 1973, "Algorithms for minimization without derivatives", chapter 5 (fmin), with the stopping rule of SciPy's
// minimize_scalar(method="bounded"), so that searches over step functions end at the same point as there.

export type Minimum = { readonly x: number; readonly value: number };

const GOLDEN = 0.5 * (3 - Math.sqrt(5));
const ROOT_EPSILON = Math.sqrt(2.2e-16);

export function findBoundedMinimum(
  f: (x: number) => number,
  options: { readonly lower: number; readonly upper: number; readonly tolerance: number; readonly mostCalls: number },
): Minimum {
  let a = options.lower;
  let b = options.upper;
  // The best point, the second best, and the one that was second best before.
  let best = a + GOLDEN * (b - a);
  let second = best;
  let third = best;
  let fBest = f(best);
  let fSecond = fBest;
  let fThird = fBest;
  let step = 0;
  let earlierStep = 0;
  let middle = 0.5 * (a + b);
  let tolerance = ROOT_EPSILON * Math.abs(best) + options.tolerance / 3;
  for (let calls = 1; calls < options.mostCalls && Math.abs(best - middle) > 2 * tolerance - 0.5 * (b - a); calls++) {
    let golden = true;
    if (Math.abs(earlierStep) > tolerance) {
      let r = (best - second) * (fBest - fThird);
      let q = (best - third) * (fBest - fSecond);
      let p = (best - third) * q - (best - second) * r;
      q = 2 * (q - r);
      if (q > 0) p = -p;
      q = Math.abs(q);
      r = earlierStep;
      earlierStep = step;
      if (Math.abs(p) < Math.abs(0.5 * q * r) && p > q * (a - best) && p < q * (b - best)) {
        golden = false;
        step = p / q;
        const x = best + step;
        if (x - a < 2 * tolerance || b - x < 2 * tolerance) step = middle >= best ? tolerance : -tolerance;
      }
    }
    if (golden) {
      earlierStep = best >= middle ? a - best : b - best;
      step = GOLDEN * earlierStep;
    }
    const x = best + (step >= 0 ? 1 : -1) * Math.max(Math.abs(step), tolerance);
    const fx = f(x);
    if (fx <= fBest) {
      if (x >= best) a = best;
      else b = best;
      [third, fThird, second, fSecond, best, fBest] = [second, fSecond, best, fBest, x, fx];
    } else {
      if (x < best) a = x;
      else b = x;
      if (fx <= fSecond || second === best) [third, fThird, second, fSecond] = [second, fSecond, x, fx];
      else if (fx <= fThird || third === best || third === second) [third, fThird] = [x, fx];
    }
    middle = 0.5 * (a + b);
    tolerance = ROOT_EPSILON * Math.abs(best) + options.tolerance / 3;
  }
  return { x: best, value: fBest };
}
