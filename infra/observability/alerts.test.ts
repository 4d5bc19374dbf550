// Alert rules and dashboard against our metrics: every query parses, asks for what is exposed, and every alert has its runbook.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { listRows, unplottedMetrics } from '../generate/dashboard.ts';
import { listMetrics, seriesOf } from '../generate/metric-catalogue.ts';
import { processSpecs } from '../system/process-specs.ts';
import { readPromql } from './promql.ts';

type Rule = {
  alert: string;
  expr: string;
  for?: string;
  labels: { severity: string };
  annotations: { summary: string; runbook: string };
};
type ScrapeConfig = {
  job_name: string;
  honor_labels: boolean;
  static_configs: { targets: string[]; labels: { service: string } }[];
};

const root = join(import.meta.dirname, '..', '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const { groups } = parse(read('infra/observability/alerts.yml')) as { groups: { name: string; rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const prometheus = parse(read('infra/observability/prometheus.yml')) as { scrape_configs: ScrapeConfig[] };
const dashboard = JSON.parse(read('infra/observability/dashboard.json')) as {
  panels: { type: string; title: string; targets?: { expr: string; legendFormat: string }[] }[];
};

/** What Prometheus adds to each sample of a target. */
const targetLabels = ['job', 'instance', 'service'];
const metrics = listMetrics(root);
const labelsOfSeries = new Map<string, readonly string[]>([
  ['up', targetLabels],
  ...metrics.flatMap((metric) =>
    seriesOf(metric).map(
      (series) => [series, [...targetLabels, ...metric.labels, ...(series.endsWith('_bucket') ? ['le'] : [])]] as const,
    ),
  ),
]);
/** Those of every Node.js process. */
const defaults = createMetrics({ service: 'test', processMetrics: true });
for (const { name } of await defaults.registry.getMetricsAsJSON()) labelsOfSeries.set(name, targetLabels);

/** What an expression asks for and nobody exposes. */
const findUnknown = (expression: string): string[] =>
  readPromql(expression).flatMap(({ metric, labels }) => {
    const known = labelsOfSeries.get(metric);
    if (known === undefined) return [metric];
    return labels.filter((label) => !known.includes(label)).map((label) => `${metric}{${label}}`);
  });

describe('an alert rule', () => {
  it.each(rules)('$alert asks for metrics and labels that are exposed', ({ expr }) => {
    expect(readPromql(expr).length).toBeGreaterThan(0);
    expect(findUnknown(expr)).toEqual([]);
  });

  it.each(rules)('$alert has a severity, a summary of known labels, and a runbook that names it', (rule) => {
    expect(['critical', 'warning']).toContain(rule.labels.severity);
    const { runbook, summary } = rule.annotations;
    expect(runbook).toMatch(/^docs\/runbooks\/[a-z-]+\.md$/);
    expect(existsSync(join(root, runbook))).toBe(true);
    expect(read(runbook)).toContain(`\`${rule.alert}\``);
    const labels = readPromql(rule.expr).flatMap((use) => [...use.labels, ...targetLabels]);
    for (const [, label] of summary.matchAll(/\$labels\.(\w+)/g)) expect(labels).toContain(label);
  });

  it('has a name of its own', () => {
    expect(rules.length).toBeGreaterThan(10);
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  });
});

describe('the check of a query', () => {
  it('finds a metric that nobody exposes, a label that it does not have, and what is not PromQL', () => {
    expect(findUnknown('rate(consumer_records_totals[5m])')).toEqual(['consumer_records_totals']);
    expect(findUnknown('sum by (reason) (consumer_records_total)')).toEqual(['consumer_records_total{reason}']);
    expect(findUnknown('consumer_lag_records{topic="x"} > 1')).toEqual(['consumer_lag_records{topic}']);
    expect(() => findUnknown('sum(rate(consumer_records_total[5m])')).toThrow('not PromQL');
    expect(() => findUnknown('{service="x"}')).toThrow('without a metric name');
  });
});

describe('the dashboard', () => {
  const queries = dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat }) => ({ title, expr, legendFormat })),
  );

  it.each(queries)('$title: $expr', ({ expr, legendFormat }) => {
    expect(findUnknown(expr)).toEqual([]);
    const labels = readPromql(expr).flatMap((use) => use.labels);
    for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(labels).toContain(label);
  });

  it('has a row for every process, and shows every metric or says why not', () => {
    const titles = listRows().map(({ title }) => title);
    for (const { name } of processSpecs) expect(titles.some((title) => title.includes(name))).toBe(true);
    const plotted = new Set(queries.flatMap(({ expr }) => readPromql(expr).map(({ metric }) => metric)));
    const hidden = metrics.filter((metric) => !seriesOf(metric).some((series) => plotted.has(series)));
    expect(hidden.map(({ name }) => name)).toEqual(Object.keys(unplottedMetrics));
  });
});

describe('the scrape configuration', () => {
  const [job] = prometheus.scrape_configs;

  it('has every process of the local system under the job that the alerts name', () => {
    expect(prometheus.scrape_configs).toHaveLength(1);
    expect(job!.honor_labels).toBe(true);
    expect(job!.static_configs.map(({ targets, labels }) => [labels.service, ...targets])).toEqual(
      processSpecs.map(({ name, defaultPort }) => [name, `127.0.0.1:${defaultPort}`]),
    );
    expect(rules.flatMap(({ expr }) => [...expr.matchAll(/job="([^"]+)"/g)]).map(([, name]) => name)).toEqual([
      job!.job_name,
    ]);
  });
});
