// What to do with an experiment: one status for one treatment, by fixed rules over its results, with the evidence in words.
//
// Rules, the first that applies: 1. invalid split; 2. a guardrail worse than its bound; 3. a goal worse than control; 4. a goal
// better, no goal worse, every guardrail with a bound shown to keep it: ship; 5. planned size reached; 6. keep running. Rules 3 and 4
// wait for the planned size unless the intervals are always valid; rules 1 and 2 do not wait, so give them always-valid evidence.
import type { EffectScale } from './effect.ts';
import type { Interval } from './hypothesis.ts';
import { isComputed, type Outcome } from './result.ts';

export const DECISION_STATUSES = [
  'keep running',
  'ship',
  'stop: guardrail',
  'stop: harmful',
  'inconclusive at planned size',
  'invalid: sample ratio',
] as const;

export type DecisionStatus = (typeof DECISION_STATUSES)[number];

export type MetricResult = {
  readonly metric: string;
  readonly role: 'goal' | 'guardrail';
  /** The direction that is better. */
  readonly better: 'increase' | 'decrease';
  /**
   * The largest change for the worse that is accepted, on the scale of the effect, not negative. A guardrail without one only
   * stops an experiment when it is worse than control. Ignored for goals.
   */
  readonly bound?: number;
  /** Effect of treatment with an interval that is corrected for the number of metrics and looks already. */
  readonly effect: Outcome<{ readonly estimate: number; readonly interval: Interval; readonly scale: EffectScale }>;
};

export type DecisionInput = {
  readonly metrics: readonly MetricResult[];
  readonly sampleRatio: Outcome<{ readonly pValue: number }>;
  /** Below this p-value the split is broken. Default 0.001. */
  readonly sampleRatioAlpha?: number;
  /** Units so far, and as planned; null while nothing says how many are needed. */
  readonly units: number;
  readonly plannedUnits: number | null;
  /** True for sequential tests, whose intervals hold at every look. */
  readonly alwaysValid: boolean;
};

export type Decision = {
  readonly status: DecisionStatus;
  /** Sentences: first what decided, then what is known of every metric. */
  readonly evidence: readonly string[];
};

type Verdict = 'better' | 'worse' | 'unclear' | 'unknown';

export function decide(input: DecisionInput): Decision {
  const { sampleRatio } = input;
  const ratioAlpha = input.sampleRatioAlpha ?? 0.001;
  const known = input.metrics.map(describeMetric);
  const answer = (status: DecisionStatus, ...reasons: string[]): Decision => ({
    status,
    evidence: [...reasons, ...known],
  });
  if (isComputed(sampleRatio) && sampleRatio.pValue <= ratioAlpha) {
    const p = formatP(sampleRatio.pValue);
    return answer(
      'invalid: sample ratio',
      `Units did not arrive in the planned proportions (p ${p}, limit ${ratioAlpha}).`,
    );
  }
  const broken = input.metrics.filter((one) => one.role === 'guardrail' && isBroken(one));
  if (broken.length > 0) return answer('stop: guardrail', `Guardrail broken: ${names(broken)}.`);
  const goals = input.metrics.filter((one) => one.role === 'goal');
  const { units, plannedUnits } = input;
  const planned = plannedUnits !== null && units >= plannedUnits;
  const waiting: string[] = [];
  if (planned || input.alwaysValid) {
    const worse = goals.filter((one) => verdictOf(one) === 'worse');
    if (worse.length > 0) return answer('stop: harmful', `Worse than control: ${names(worse)}.`);
    const better = goals.filter((one) => verdictOf(one) === 'better');
    const open = input.metrics.filter((one) => one.role === 'guardrail' && !isKept(one));
    if (!isComputed(sampleRatio)) waiting.push(`The split cannot be checked: ${sampleRatio.detail}.`);
    if (better.length === 0) waiting.push('No goal is better than control beyond doubt.');
    if (open.length > 0) waiting.push(`Not yet shown to keep its bound: ${names(open)}.`);
    if (waiting.length === 0) {
      return answer('ship', `Better than control: ${names(better)}; every guardrail holds.`);
    }
  }
  if (planned) {
    const size = `The planned size is reached (${units} of ${plannedUnits} planned units).`;
    return answer('inconclusive at planned size', size, ...waiting);
  }
  const size =
    plannedUnits === null
      ? `There are ${units} units, and nothing says how many are needed: give planned_units, or the primary metric a minimum_effect.`
      : `The planned size is not reached (${units} of ${plannedUnits} planned units).`;
  return answer('keep running', size, ...waiting);
}

/** The interval turned so that up is better. */
function turned({ better, effect }: MetricResult): Interval | null {
  if (!isComputed(effect)) return null;
  const { lower, upper } = effect.interval;
  return better === 'increase' ? { lower, upper } : { lower: -upper, upper: -lower };
}

function verdictOf(metric: MetricResult): Verdict {
  const interval = turned(metric);
  if (interval === null) return 'unknown';
  if (interval.lower > 0) return 'better';
  return interval.upper < 0 ? 'worse' : 'unclear';
}

/** All of the interval is worse than the bound. */
function isBroken(metric: MetricResult): boolean {
  const interval = turned(metric);
  return interval !== null && interval.upper < -(metric.bound ?? 0);
}

/** All of the interval is on the right side of the bound; without a bound it is enough not to be broken. */
function isKept(metric: MetricResult): boolean {
  const interval = turned(metric);
  if (interval === null) return false;
  return metric.bound === undefined ? !isBroken(metric) : interval.lower > -metric.bound;
}

function names(metrics: readonly MetricResult[]): string {
  return metrics.map((one) => one.metric).join(', ');
}

function describeMetric(metric: MetricResult): string {
  const { effect } = metric;
  if (!isComputed(effect)) return `${metric.metric}: no result, ${effect.detail}.`;
  const { lower, upper } = effect.interval;
  const of = (value: number): string => formatEffect(value, effect.scale);
  const bound =
    metric.role === 'guardrail' && metric.bound !== undefined ? `, bound ${formatBound(metric, effect.scale)}` : '';
  const words: Record<Verdict, string> = {
    better: 'better than control',
    worse: 'worse than control',
    unclear: 'not told apart from control',
    unknown: 'unknown',
  };
  return `${metric.metric}: ${of(effect.estimate)} (interval ${of(lower)} to ${of(upper)}${bound}), ${words[verdictOf(metric)]}.`;
}

function formatBound(metric: MetricResult, scale: EffectScale): string {
  const bound = metric.bound ?? 0;
  return formatEffect(metric.better === 'increase' ? -bound : bound, scale);
}

function formatEffect(value: number, scale: EffectScale): string {
  if (!Number.isFinite(value)) return value > 0 ? 'no upper limit' : 'no lower limit';
  const sign = value > 0 ? '+' : '';
  return scale === 'relative' ? `${sign}${(100 * value).toFixed(2)} %` : `${sign}${Number(value.toPrecision(4))}`;
}

function formatP(pValue: number): string {
  return pValue < 1e-4 ? pValue.toExponential(1) : pValue.toFixed(4);
}
