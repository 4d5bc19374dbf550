// Results as text for a terminal: the split, then each treatment with its decision and a line per metric.
import {
  describeGuardrail,
  formatChange,
  formatCount,
  formatInterval,
  formatNumber,
  formatPValue,
  verdictOf,
  verdictWords,
} from '#domain/results/format-results.ts';
import type { ExperimentResults, MetricReport, TreatmentDecision } from '#domain/results/results.ts';
import { isComputed } from '#domain/statistics/result.ts';
import { type Cell, formatTable } from '../command-line/output.ts';

export function describeResults(results: ExperimentResults): string {
  return [
    ...describeHead(results),
    '',
    ...describeUnits(results),
    ...results.decisions.flatMap((decision) => ['', ...describeTreatment(results, decision)]),
    ...describeNotes(results),
  ].join('\n');
}

function describeHead({ experiment, asOf, analysisEndedAt, periods }: ExperimentResults): string[] {
  const { experimentKey, name, iteration, version, status, hypothesis } = experiment;
  const title = name === experimentKey ? experimentKey : `${name} (${experimentKey})`;
  const ramp =
    periods.length > 1
      ? [`Coverage: ${periods.map(({ coverage }) => coverage).join(' → ')}; strata by period of assignment`]
      : [];
  return [
    `${title}, iteration ${iteration}, version ${version}, ${status}`,
    ...(hypothesis === null ? [] : [`Hypothesis: ${hypothesis}`]),
    `As of ${asOf}${analysisEndedAt === null ? '' : `; events count until ${analysisEndedAt}, when delivery deviated`}`,
    ...ramp,
  ];
}

function describeUnits({ units, sampleRatio, settings, experiment }: ExperimentResults): string[] {
  const byVariant = units.byVariant.map(({ name, units: count }) => `${name} ${formatCount(count)}`).join(', ');
  const reasons = units.excludedByReason
    .map(({ reason, units: count }) => `${reason} ${formatCount(count)}`)
    .join(', ');
  const { anytime, chiSquare } = sampleRatio.exposed;
  const split = isComputed(anytime)
    ? `${anytime.pValue <= settings.sampleRatioAlpha ? 'BROKEN' : 'sound'} (p ${formatPValue(anytime.pValue)} over all looks${
        isComputed(chiSquare) ? `, ${formatPValue(chiSquare.pValue)} by chi-square now` : ''
      }; alarm at ${settings.sampleRatioAlpha})`
    : `cannot be checked: ${anytime.detail}`;
  return [
    `Units (${experiment.unitType}): ${formatCount(units.analyzed)} analyzed: ${byVariant}`,
    `Left out: ${formatCount(units.excluded)}${reasons === '' ? '' : ` (${reasons})`}; assigned and not exposed: ${formatCount(units.assignedWithoutExposure)}; contradicting events: ${formatCount(units.contradictingEvents)}`,
    `Split: ${split}`,
  ];
}

function describeTreatment(results: ExperimentResults, decision: TreatmentDecision): string[] {
  const [reason, ...rest] = decision.evidence;
  const waiting = rest.slice(0, rest.length - countMetricSentences(results));
  return [
    `${decision.name} against ${results.control.name}: ${decision.status.toUpperCase()}`,
    ...[reason ?? '', ...waiting].map((sentence) => `  ${sentence}`),
    '',
    ...formatTable(
      ['metric', 'role', results.control.name, decision.name, 'effect', 'interval', 'p', 'verdict'],
      results.metrics.map((metric) => metricRow(metric, decision.variantId)),
    )
      .split('\n')
      .map((line) => `  ${line}`),
  ];
}

/** The evidence ends with a sentence per metric that took part in the decision; the table says the same. */
function countMetricSentences({ metrics }: ExperimentResults): number {
  return metrics.reduce(
    (count, { roles }) => count + Number(roles.includes('primary')) + Number(roles.includes('guardrail')),
    0,
  );
}

function metricRow(metric: MetricReport, variantId: string): Cell[] {
  const comparison = metric.comparisons.find((one) => one.variantId === variantId)!;
  const valueIn = (index: number): string => {
    const value = metric.values[index]?.value;
    return value !== undefined && isComputed(value) ? formatNumber(value.value) : '-';
  };
  const treatment = metric.values.findIndex((value) => value.variantId === variantId);
  const { effect, corrected, guardrail } = comparison;
  const words = [verdictWords[verdictOf(metric.definition, effect)]];
  if (!isComputed(effect)) words.push(effect.detail);
  if (corrected !== null && isComputed(effect)) words.push(`corrected p ${formatPValue(corrected.adjustedPValue)}`);
  if (guardrail !== null) words.push(`guardrail ${describeGuardrail(guardrail).text}`);
  return [
    metric.name,
    metric.roles.join(', '),
    valueIn(0),
    valueIn(treatment),
    isComputed(effect) ? formatChange(effect.estimate, effect.scale) : '-',
    isComputed(effect) ? formatInterval(effect.interval, effect.scale) : '-',
    isComputed(effect) ? formatPValue(effect.pValue) : '-',
    words.join('; '),
  ];
}

function describeNotes({ notes, metrics }: ExperimentResults): string[] {
  const all = [...notes, ...metrics.flatMap(({ name, notes: own }) => own.map((note) => `${name}: ${note}`))];
  return all.length === 0 ? [] : ['', ...all.map((note) => `Note: ${note}`)];
}
