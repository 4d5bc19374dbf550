// The table of metrics in docs/metrics.md, from the code that declares them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { topics } from '#schemas/topics.ts';
import { type GeneratedFile, replaceGeneratedPart, toMarkdownTable } from './generated-file.ts';
import { listMetrics, type Metric } from './metric-catalogue.ts';

const groups: readonly string[] = topics.events.groups;

function describeProcesses({ processes }: Metric): string {
  const all = groups.every((group) => processes.includes(group));
  const others = all ? processes.filter((name) => !groups.includes(name)) : processes;
  return [...(all ? ['every group'] : []), ...others].join(', ');
}

export function metricTable(metrics: readonly Metric[]): string {
  return toMarkdownTable(
    ['metric', 'type', 'labels', 'meaning', 'exposed by'],
    metrics.map((metric) => [
      `\`${metric.name}\``,
      metric.type,
      metric.labels.map((label) => `\`${label}\``).join(', '),
      metric.help,
      describeProcesses(metric),
    ]),
  );
}

export function generateMetricsPage(root: string): GeneratedFile {
  const path = 'docs/metrics.md';
  const text = replaceGeneratedPart(readFileSync(join(root, path), 'utf8'), 'metrics', metricTable(listMetrics(root)));
  return { path, text };
}
