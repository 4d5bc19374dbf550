// What one comparison can find with the units it has, and how many units it would need, for success metrics and guardrails.
//
// Source: spotify-confidence 4 (Nordin, Schultzberg): unequal groups, variance of a binary treatment from its hypothetical
// mean, except for guardrails, whose hypothesis is that both means are equal.
import { findBoundedMinimum } from './bounded-minimum.ts';

export type PoweredComparison = {
  readonly controlMean: number;
  /** Variance of one unit in control. */
  readonly controlVariance: number;
  /** Zeros and ones: the variance follows from the mean. */
  readonly binary: boolean;
  readonly nonInferiority: boolean;
  /** Control units per treatment unit. */
  readonly controlPerTreatment: number;
  /** Share of all units of the experiment that these two variants have, in (0, 1]. */
  readonly comparedShare: number;
  /** Critical values: of alpha, halved when two-sided, and of the power. */
  readonly zAlpha: number;
  readonly zPower: number;
};

function treatmentVariance(comparison: PoweredComparison, effect: number): number {
  if (!comparison.binary || comparison.nonInferiority) return comparison.controlVariance;
  const mean = comparison.controlMean + effect;
  return mean * (1 - mean);
}

/** Units of the whole experiment that find `effect` (absolute, not zero), rounded up at each step. */
export function requiredUnits(comparison: PoweredComparison, effect: number): number {
  return Math.ceil(exactUnits(comparison, effect));
}

function exactUnits(comparison: PoweredComparison, effect: number): number {
  const { controlVariance, controlPerTreatment, comparedShare, zAlpha, zPower } = comparison;
  const variance = controlVariance / controlPerTreatment + treatmentVariance(comparison, effect);
  const treatmentUnits = Math.ceil(((zAlpha + zPower) / Math.abs(effect)) ** 2 * variance);
  return (treatmentUnits + treatmentUnits * controlPerTreatment) / comparedShare;
}

/** The smallest absolute effect that is found with the power asked for, when the experiment has this many units. */
export function poweredEffect(comparison: PoweredComparison, units: number): number {
  if (comparison.binary && !comparison.nonInferiority) return searchBinaryEffect(comparison, units);
  const { controlVariance, controlPerTreatment, comparedShare, zAlpha, zPower } = comparison;
  const spread = (zAlpha + zPower) ** 2 * (controlVariance / controlPerTreatment + controlVariance);
  return Math.sqrt((1 / (units * comparedShare)) * (spread + controlPerTreatment * spread));
}

/** The search ends when the units needed are within one of the units there are. */
const GOOD_ENOUGH = 1;
const MOST_SEARCHES = 100;
const SMALLEST_EFFECT = 1e-8;

/** A binary variance depends on the effect, so it is searched: in ever smaller halves of what is possible, breadth first. */
function searchBinaryEffect(comparison: PoweredComparison, units: number): number {
  const miss = (effect: number): number => (units - exactUnits(comparison, effect)) ** 2;
  const largest = 1 - comparison.controlMean;
  const smallest = Math.min(SMALLEST_EFFECT, largest);
  if (smallest === largest) return smallest;
  const queue: [number, number][] = [[smallest, largest]];
  let best = { x: Number.NaN, value: Number.POSITIVE_INFINITY };
  for (let i = 0; i < MOST_SEARCHES && best.value > GOOD_ENOUGH; i++) {
    const [lower, upper] = queue[i]!;
    const found = findBoundedMinimum(miss, { lower, upper, tolerance: 1e-13, mostCalls: 50 });
    if (found.value < best.value) best = found;
    const half = (lower + upper) / 2;
    queue.push([lower, half], [half, upper]);
  }
  if (best.value <= GOOD_ENOUGH) return best.x;
  const gridBest = searchGrid(miss, smallest, largest);
  return gridBest.value < best.value ? gridBest.x : best.x;
}

/** A coarse grid, then a fine one below the best point; of several best points on the coarse grid, a middle one. */
function searchGrid(miss: (effect: number) => number, smallest: number, largest: number): { x: number; value: number } {
  const coarse = grid(smallest, largest, 2000);
  const values = coarse.map(miss);
  const least = Math.min(...values);
  const ties = values.flatMap((value, i) => (value === least ? [i] : []));
  const at = ties.length === 1 ? ties[0]! : ties[Math.min(Math.ceil(ties.length / 2), ties.length - 1)]!;
  let best = { x: Number.NaN, value: Number.POSITIVE_INFINITY };
  for (const x of grid(at === 0 ? smallest : coarse[at - 1]!, coarse[at]!, 10_000)) {
    const value = miss(x);
    if (value < best.value) best = { x, value };
  }
  return best;
}

function grid(low: number, high: number, points: number): number[] {
  const step = (high - low) / (points - 1);
  return Array.from({ length: points }, (_, i) => (i === points - 1 ? high : low + i * step));
}
