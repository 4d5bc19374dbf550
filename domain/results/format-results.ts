// Numbers and verdicts of results in words, the same in the terminal, in the report and in messages.
import type { MetricDefinition } from '#domain/metrics/metric-definition.ts';
import type { Interval } from '#domain/statistics/hypothesis.ts';
import { isComputed, type Outcome } from '#domain/statistics/result.ts';
import type { TestedEffect } from './compare-variants.ts';
import type { GuardrailReport } from './results.ts';

/** A change with its sign: percent on the relative scale, else in units of the metric. */
export function formatChange(value: number, scale: 'relative' | 'absolute'): string {
  if (!Number.isFinite(value)) return value > 0 ? 'no upper limit' : 'no lower limit';
  const sign = value > 0 ? '+' : value < 0 ? '−' : '';
  const size = Math.abs(value);
  return scale === 'relative' ? `${sign}${formatNumber(100 * size, 3)} %` : `${sign}${formatNumber(size)}`;
}

/** A few significant digits, without an exponent where people would not write one. */
export function formatNumber(value: number, digits = 4): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e9 || size < 1e-6) return value.toExponential(2);
  if (size >= 10 ** digits) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(digits)));
}

export function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

export function formatPValue(value: number): string {
  if (value < 0.0001) return '< 0.0001';
  return value > 0.9999 ? '1' : Number(value.toPrecision(2)).toString();
}

export function formatInterval({ lower, upper }: Interval, scale: 'relative' | 'absolute'): string {
  return `${formatChange(lower, scale)} to ${formatChange(upper, scale)}`;
}

export type Verdict = 'better' | 'worse' | 'unclear' | 'unknown';

/** What the interval says of the effect, given which direction is good. */
export function verdictOf(
  { better }: Pick<MetricDefinition, 'better'>,
  effect: Outcome<Pick<TestedEffect, 'interval'>>,
): Verdict {
  if (!isComputed(effect)) return 'unknown';
  const { lower, upper } = effect.interval;
  if (lower > 0) return better === 'increase' ? 'better' : 'worse';
  if (upper < 0) return better === 'increase' ? 'worse' : 'better';
  return 'unclear';
}

export const verdictWords: Readonly<Record<Verdict, string>> = {
  better: 'better than control',
  worse: 'worse than control',
  unclear: 'not told apart',
  unknown: 'no result',
};

/** What is known of a guardrail, in one word and one sentence. */
export function describeGuardrail({ harmful, bound, evidence }: GuardrailReport): {
  state: 'broken' | 'holds' | 'open' | 'unknown';
  text: string;
} {
  if (!isComputed(evidence)) return { state: 'unknown', text: evidence.detail };
  const { interval, scale, isBroken } = evidence;
  const limit = formatChange(harmful === 'increase' ? bound : -bound, scale);
  const accepted = bound === 0 ? 'no harm is accepted' : `accepted up to ${limit}`;
  if (isBroken) return { state: 'broken', text: `worse than accepted (${accepted})` };
  const worst = harmful === 'increase' ? interval.upper : interval.lower;
  const holds = bound > 0 && (harmful === 'increase' ? worst < bound : worst > -bound);
  return holds
    ? { state: 'holds', text: `within its bound (${accepted})` }
    : { state: 'open', text: `not shown to hold yet (${accepted}; may be as bad as ${formatChange(worst, scale)})` };
}
