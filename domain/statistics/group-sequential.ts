// Bounds for a small, known number of looks: group-sequential testing with an alpha-spending function.
//
// Sources: Lan and DeMets 1983, "Discrete sequential boundaries for clinical trials" (spending alpha * t^rho);
// Armitage, McPherson, Rowe 1969 (the recursive integral); grid and search as in ldbounds and spotify-confidence 4: a grid of
// a twentieth of a step's standard deviation, at most 1,000 intervals, a search that ends within 1e-7 of the alpha to spend.
import { computed, notComputable, type Outcome } from './result.ts';
import { normalDensity, normalQuantile, normalSurvival } from './special-functions.ts';

export type GroupSequentialOptions = {
  /** Total probability of a false positive over all looks. */
  readonly alpha: number;
  readonly sides: 1 | 2;
  /** Exponent of the spending function alpha * t^rho. Default 2. */
  readonly rho?: number;
  /** Bounds are cut off here, in standard errors. Default 8. */
  readonly largestBound?: number;
};

/** Looks closer together than this, as a share of the planned information, share one bound. */
const SMALLEST_STEP = 1e-5;
const PROBABILITY_TOLERANCE = 1e-7;
const GRID_STEP = 0.05;
const MOST_INTERVALS = 1000;

/** The density, over a grid, of the statistic on the paths that have not crossed a bound yet. */
type Path = { low: number; high: number; intervals: number; density: Float64Array };

/**
 * The bound on the z statistic at each look. `information` is the share of the planned sample at each look: not
 * decreasing, positive; a last look at 1 spends all of alpha.
 */
export function groupSequentialBounds(
  information: readonly number[],
  options: GroupSequentialOptions,
): Outcome<{ bounds: number[] }> {
  const rho = options.rho ?? 2;
  const largest = options.largestBound ?? 8;
  const alpha = options.alpha / options.sides;
  if (!(alpha > 0 && alpha < 0.5)) return notComputable('invalid-input', 'alpha lies between 0 and 1');
  if (information.length === 0 || !(information[0]! > 0)) {
    return notComputable('invalid-input', 'the information at the first look is positive');
  }
  if (information.some((t, i) => i > 0 && !(t >= information[i - 1]!))) {
    return notComputable('invalid-input', 'information does not decrease from look to look');
  }
  const bounds: number[] = [];
  let path: Path | null = null;
  let lastTime = 0;
  let spent = 0;
  for (const t of information) {
    if (path !== null && t - lastTime <= SMALLEST_STEP) {
      bounds.push(bounds.at(-1)!);
      continue;
    }
    const deviation = Math.sqrt(t - lastTime);
    const spend = Math.min(1, Math.max(0, alpha * t ** rho - spent));
    const bound: number =
      path === null ? Math.min(largest, -normalQuantile(spend)) : laterBound(path, spend, t, deviation, largest);
    // Cutting the bound off spends less than planned; what is left stays for the looks to come.
    const cutOff = bound === largest;
    if (cutOff) spent += path === null ? normalSurvival(bound) : crossing(path, bound * Math.sqrt(t), deviation);
    else spent = alpha * t ** rho;
    path = nextPath(path, bound, t, deviation, largest);
    bounds.push(bound);
    lastTime = t;
  }
  const fixedHorizon = -normalQuantile(alpha);
  if (bounds.at(-1)! < fixedHorizon) {
    return notComputable(
      'not-converged',
      `the last bound ${bounds.at(-1)} is below the fixed-horizon bound ${fixedHorizon}`,
    );
  }
  return computed({ bounds });
}

function laterBound(path: Path, spend: number, t: number, deviation: number, largest: number): number {
  if (spend < PROBABILITY_TOLERANCE) return largest;
  return Math.min(largest, searchBound(path, spend, deviation) / Math.sqrt(t));
}

/** Probability of being above `level` after a step of this deviation, from the paths still inside. */
function crossing(path: Path, level: number, deviation: number): number {
  const { low, high, intervals, density } = path;
  const step = (high - low) / intervals;
  let sum = 0;
  for (let i = 0; i <= intervals; i++) {
    const weight = i === 0 || i === intervals ? 0.5 : 1;
    sum += weight * density[i]! * normalSurvival((level - (low + i * step)) / deviation);
  }
  return step * sum;
}

/** The level that is crossed with probability `spend`: steps of 1, 0.1, 0.01 and so on, turning at each overshoot. */
function searchBound(path: Path, spend: number, deviation: number): number {
  let level = path.high;
  let probability = crossing(path, level, deviation);
  for (let step = 1; Math.abs(probability - spend) > PROBABILITY_TOLERANCE && step > 1e-16; step /= 10) {
    const direction = probability > spend + PROBABILITY_TOLERANCE ? 1 : -1;
    for (let tries = 0; tries < 50; tries++) {
      level += direction * step;
      probability = crossing(path, level, deviation);
      const passed =
        direction === 1 ? probability <= spend + PROBABILITY_TOLERANCE : probability >= spend - PROBABILITY_TOLERANCE;
      if (passed) break;
    }
  }
  return level;
}

/** The density just inside the bound at this look: the earlier density moved by one step. */
function nextPath(path: Path | null, bound: number, t: number, deviation: number, largest: number): Path {
  const low = -largest * Math.sqrt(t);
  const high = bound * Math.sqrt(t);
  const wanted = Math.ceil((high - low) / (GRID_STEP * deviation));
  const intervals = path === null ? wanted : Math.min(wanted, MOST_INTERVALS);
  const step = (high - low) / intervals;
  const density = new Float64Array(intervals + 1);
  for (let i = 0; i <= intervals; i++) {
    const x = low + i * step;
    density[i] = path === null ? normalDensity(x / deviation) / deviation : movedDensity(path, x, deviation);
  }
  return { low, high, intervals, density };
}

function movedDensity(path: Path, x: number, deviation: number): number {
  const step = (path.high - path.low) / path.intervals;
  let sum = 0;
  for (let i = 0; i <= path.intervals; i++) {
    const distance = (path.low + i * step - x) / deviation;
    // Beyond 40 deviations the density is below the smallest double.
    if (Math.abs(distance) > 40) continue;
    const weight = i === 0 || i === path.intervals ? 0.5 : 1;
    sum += weight * path.density[i]! * Math.exp(-0.5 * distance * distance);
  }
  return (sum * step) / (deviation * Math.sqrt(2 * Math.PI));
}
