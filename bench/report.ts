// Findings as a table for people, with everything that was measured below it; pure.
import { type Finding, type Measured, type Spread, spreadOf } from './findings.ts';

const columns = ['measurement', 'measured', 'compared with', 'result', 'spread', 'asked', ''] as const;

/** Three significant digits, thousands separated. */
export function formatNumber(value: number): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 1e-9))));
  return value.toLocaleString('en', {
    minimumFractionDigits: Math.min(digits, 2),
    maximumFractionDigits: Math.min(digits, 2),
  });
}

const describeSpread = ({ min, max }: Spread): string =>
  min === max ? '' : `${formatNumber(min)} – ${formatNumber(max)}`;

const medianSpeed = ({ samples }: Measured): number => spreadOf(samples.map(({ perSecond }) => perSecond)).median;

const describeSpeed = (measured: Measured): string =>
  `${measured.name}: ${formatNumber(medianSpeed(measured))} ${measured.unit}/s`;

function toRow(finding: Finding): string[] {
  const verdict = finding.ok ? 'ok' : 'SHORT';
  if (finding.kind === 'limit') {
    const { name, value, unit, limit, exclusive } = finding;
    return [
      name,
      '',
      '',
      `${formatNumber(value.median)} ${unit}`,
      describeSpread(value),
      `${exclusive ? '<' : '≤'} ${limit} ${unit}`,
      verdict,
    ];
  }
  const { name, subject, baseline, ratio, bar, aim } = finding;
  return [
    name,
    `${formatNumber(medianSpeed(subject))} ${subject.unit}/s`,
    `${baseline.name}: ${formatNumber(medianSpeed(baseline))} ${baseline.unit}/s`,
    `${ratio.median.toFixed(2)} ×`,
    ratio.min === ratio.max ? '' : `${ratio.min.toFixed(2)} – ${ratio.max.toFixed(2)}`,
    `≥ ${bar}${aim === null ? '' : `, aim ${aim}`}`,
    verdict,
  ];
}

function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map((_, index) => Math.max(...rows.map((row) => [...row[index]!].length)));
  return rows.map((row) =>
    row
      .map((cell, index) => cell + ' '.repeat(widths[index]! - [...cell].length))
      .join('  ')
      .trimEnd(),
  );
}

/** Medians of the notes of all samples of one contender. */
function describeNotes(measured: Measured): string {
  const names = Object.keys(measured.samples[0]?.notes ?? {});
  const parts = names.map(
    (name) => `${name} ${formatNumber(spreadOf(measured.samples.map(({ notes }) => notes[name] ?? 0)).median)}`,
  );
  const speeds = measured.samples.map(({ perSecond }) => formatNumber(perSecond)).join(', ');
  return `${describeSpeed(measured)} (${speeds})${parts.length === 0 ? '' : `; ${parts.join(', ')}`}`;
}

export function formatReport(findings: readonly Finding[]): string {
  const table = alignColumns([columns, ...findings.map(toRow)]);
  const contenders = new Map<string, Measured>();
  for (const finding of findings) {
    if (finding.kind !== 'ratio') continue;
    for (const measured of [finding.subject, finding.baseline]) contenders.set(measured.name, measured);
  }
  const notes = findings.flatMap((finding) =>
    finding.kind === 'limit' && Object.keys(finding.notes).length > 0
      ? [
          `${finding.name}: ${Object.entries(finding.notes)
            .map(([name, value]) => `${name} ${formatNumber(value)}`)
            .join(', ')}`,
        ]
      : [],
  );
  const details = [...[...contenders.values()].map(describeNotes), ...notes];
  const short = findings.filter(({ ok }) => !ok);
  const summary =
    short.length === 0 ? 'Every measurement meets its bar.' : `${short.length} of ${findings.length} fall short.`;
  return [
    ...table,
    '',
    'Medians; in brackets each repetition:',
    ...details.map((line) => `  ${line}`),
    '',
    summary,
  ].join('\n');
}
