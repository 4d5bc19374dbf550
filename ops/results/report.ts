// The results of an experiment as one HTML page without anything outside it: decision, split, effects, over time, by segment.
import { formatChange, formatCount, formatPValue } from '#domain/results/format-results.ts';
import type { ExperimentResults, TreatmentComparison } from '#domain/results/results.ts';
import type { DecisionStatus } from '#domain/statistics/decision.ts';
import { isComputed } from '#domain/statistics/result.ts';
import { drawLines, escapeHtml, type Series } from './report-chart.ts';
import { renderEffects, renderSegments } from './report-effects.ts';
import { reportStyle } from './report-style.ts';

const tones: Readonly<Record<DecisionStatus, 'good' | 'bad' | 'warn' | 'plain'>> = {
  'keep running': 'plain',
  ship: 'good',
  'stop: guardrail': 'bad',
  'stop: harmful': 'bad',
  'inconclusive at planned size': 'warn',
  'invalid: sample ratio': 'bad',
};

/** A whole page; its texts come from definitions, so all of them are escaped. */
export function renderReport(results: ExperimentResults): string {
  const { experiment } = results;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(experiment.name)}: results</title><style>${reportStyle}</style></head>
<body><main>
${[renderHead(results), renderDecisions(results), renderTiles(results), ...results.decisions.map(({ variantId }) => renderTreatment(results, variantId)), renderSplit(results), renderNotes(results)].join('\n')}
</main></body></html>
`;
}

function renderHead({ experiment, asOf, analysisEndedAt }: ExperimentResults): string {
  const ended =
    analysisEndedAt === null ? '' : ` · events count until ${readable(analysisEndedAt)}, when delivery deviated`;
  return `<header><h1>${escapeHtml(experiment.name)}</h1>
<p class="soft"><code>${escapeHtml(experiment.experimentKey)}</code> · iteration ${experiment.iteration} · version ${experiment.version} · ${experiment.status} · as of ${readable(asOf)}${ended}</p>
${experiment.hypothesis === null ? '' : `<p>${escapeHtml(experiment.hypothesis)}</p>`}</header>`;
}

const readable = (time: string): string => `${time.slice(0, 16).replace('T', ' ')} UTC`;

function renderDecisions({ decisions, control }: ExperimentResults): string {
  return decisions
    .map(
      ({ name, status, evidence }) => `<section class="card decision ${tones[status]}">
<p><span class="status">${status}</span> &nbsp;<b>${escapeHtml(name)}</b> against ${escapeHtml(control.name)}</p>
<ul>${evidence.map((sentence) => `<li>${escapeHtml(sentence)}</li>`).join('')}</ul></section>`,
    )
    .join('\n');
}

function renderTiles({ units, sampleRatio, settings, experiment, periods, decisions }: ExperimentResults): string {
  const { anytime } = sampleRatio.exposed;
  const isBroken = isComputed(anytime) && anytime.pValue <= settings.sampleRatioAlpha;
  const planned = decisions
    .map(({ plannedUnits }) => plannedUnits ?? 0)
    .reduce((most, count) => Math.max(most, count), 0);
  const left = units.excludedByReason.map(({ reason, units: count }) => `${reason} ${formatCount(count)}`).join(', ');
  const tiles: [string, string][] = [
    [
      formatCount(units.analyzed),
      `${experiment.unitType} units analyzed${planned > 0 ? ` of ${formatCount(planned)} planned` : ''}`,
    ],
    ...units.byVariant.map(({ name, units: count }): [string, string] => [formatCount(count), name]),
    [
      isComputed(anytime) ? (isBroken ? 'broken' : 'sound') : 'unknown',
      isComputed(anytime) ? `split, p ${formatPValue(anytime.pValue)} over all looks` : `split: ${anytime.detail}`,
    ],
    [formatCount(units.excluded), `left out${left === '' ? '' : `: ${left}`}`],
    ...(periods.length > 1
      ? [
          [
            periods.map(({ coverage }) => `${Math.round(coverage * 100)} %`).join(' → '),
            'coverage; strata by period of assignment',
          ] as [string, string],
        ]
      : []),
  ];
  return `<section class="tiles">${tiles
    .map(([figure, label]) => `<div class="tile"><b>${escapeHtml(figure)}</b><span>${escapeHtml(label)}</span></div>`)
    .join('')}</section>`;
}

function renderTreatment(results: ExperimentResults, variantId: string): string {
  const rows = results.metrics.map((metric) => ({
    metric,
    comparison: metric.comparisons.find((one) => one.variantId === variantId)!,
  }));
  if (rows.length === 0) return '';
  const name = results.decisions.find((decision) => decision.variantId === variantId)!.name;
  const histories = rows.filter(({ comparison }) => comparison.history.some(({ effect }) => isComputed(effect)));
  const segmented = rows.filter(({ comparison }) => comparison.segments.some(({ segments }) => segments.length > 0));
  return `<section><h2>${escapeHtml(name)} against ${escapeHtml(results.control.name)}</h2>
${renderEffects(results, rows)}
${histories.length === 0 ? '' : `<h3>Effects over time</h3><p class="soft">Of all units first exposed until the end of each day, with everything they did since; ${results.settings.test === 'sequential' ? 'the bands hold at every look' : 'the bands hold at one look only'}.</p><div class="grid2">${histories.map(({ metric, comparison }) => renderHistory(metric.name, comparison)).join('')}</div>`}
${segmented.map(({ metric, comparison }) => renderSegments(metric, comparison)).join('')}</section>`;
}

function renderHistory(name: string, { history, guardrail }: TreatmentComparison): string {
  const points = history.flatMap(({ day, effect }) =>
    isComputed(effect) ? [{ day, value: effect.estimate, band: effect.interval }] : [],
  );
  const scale = history.map(({ effect }) => effect).find(isComputed)!.scale;
  const bound = guardrail === null ? undefined : guardrail.harmful === 'increase' ? guardrail.bound : -guardrail.bound;
  const drawn = drawLines({
    series: [{ name, kind: 'main', points }],
    levels: [
      { value: 0, kind: 'zero' },
      ...(bound === undefined || bound === 0 ? [] : [{ value: bound, kind: 'bound' as const }]),
    ],
    format: (value) => formatChange(value, scale),
    label: `Effect on ${name} by day`,
  });
  return `<div class="card"><b>${escapeHtml(name)}</b>${drawn}</div>`;
}

function renderSplit({ sampleRatio, units, settings }: ExperimentResults): string {
  const { days, chiSquare, anytime } = sampleRatio.exposed;
  if (days.length === 0) return '';
  const charts = units.byVariant.map(({ name }, index) => {
    const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);
    const series: Series[] = [
      {
        name,
        kind: 'main',
        points: days.map(({ day, units: counts }) => ({ day, value: counts[index]! / total(counts) })),
      },
      {
        name: 'planned',
        kind: 'expected',
        points: days.map(({ day, expectedShares }) => ({ day, value: expectedShares[index]! })),
      },
    ];
    const drawn = drawLines({
      series,
      levels: [],
      format: (value) => `${(100 * value).toFixed(1)} %`,
      label: `Share of units in ${name} by day`,
    });
    return `<div class="card"><b>${escapeHtml(name)}</b> <span class="soft">share of units so far; dashed: planned</span>${drawn}</div>`;
  });
  const words = isComputed(anytime)
    ? `p ${formatPValue(anytime.pValue)} over all looks, alarm at ${settings.sampleRatioAlpha}${isComputed(chiSquare) ? `; ${formatPValue(chiSquare.pValue)} by chi-square now` : ''}.`
    : `It cannot be checked: ${anytime.detail}.`;
  return `<section><h2>Split over time</h2><p>${escapeHtml(words)}</p><div class="grid2">${charts.join('')}</div></section>`;
}

function renderNotes({ notes, metrics, settings }: ExperimentResults): string {
  const all = [
    ...notes,
    ...metrics.flatMap(({ name, notes: own }) => own.map((note) => `${name}: ${note}`)),
    `Test: ${settings.test}, alpha ${settings.alpha}; secondary metrics corrected by ${settings.correction}; guardrails share alpha ${settings.guardrailAlpha}, one-sided, valid at every look${settings.covariateDays > 0 ? `; covariate from ${settings.covariateDays} days before first exposure` : ''}.`,
  ];
  return `<section><h2>Notes</h2><ul>${all.map((note) => `<li>${escapeHtml(note)}</li>`).join('')}</ul></section>`;
}
