// The documents name files, commands, tables, topics and processes that exist.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { datasetBuilderConfig } from '#consumers/dataset-builder/config.ts';
import { metricsAggregatorConfig } from '#consumers/metrics-aggregator/config.ts';
import { parquetArchiverConfig } from '#consumers/parquet-archiver/config.ts';
import { postgresSinkConfig } from '#consumers/postgres-sink/config.ts';
import { experimentEntrySchema, policyEntrySchema } from '#domain/definitions/file-schema.ts';
import { experimentStatuses } from '#domain/experiment/experiment.ts';
import { listMetrics, seriesOf } from '#infra/generate/metric-catalogue.ts';
import { processSpecs } from '#infra/system/process-specs.ts';
import { listSettings } from '#platform/config/settings.ts';
import { topics } from '#schemas/topics.ts';
import { findBrokenReferences, findUnknownCommands } from './document-references.ts';
import { listDocuments, readDocument } from './read-documents.ts';

const flushSettings = {
  'postgres-sink': postgresSinkConfig.shape,
  'parquet-archiver': parquetArchiverConfig.shape,
  'metrics-aggregator': metricsAggregatorConfig.shape,
  'dataset-builder': datasetBuilderConfig.shape,
} as const;
const root = join(import.meta.dirname, '..', '..');
const read = readDocument;
const packageJson = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
const documents = listDocuments();

describe('every document', () => {
  it.each(documents)('%s: links and paths exist', (document) => {
    const exists = (path: string): boolean => existsSync(join(root, path));
    expect(findBrokenReferences(read(document), dirname(document), exists)).toEqual([]);
  });

  it.each(documents)('%s: npm commands exist', (document) => {
    expect(findUnknownCommands(read(document), Object.keys(packageJson.scripts))).toEqual([]);
  });
});

describe('the search for broken references', () => {
  const exists = (path: string): boolean => ['docs/a.md', 'infra/b.ts', 'docs'].includes(normalize(path));

  it('finds a link and a path that lead nowhere', () => {
    const text =
      '[a](a.md) [gone](gone.md#part) `infra/b.ts` `infra/c.ts` [out](https://example.org) `docs/{name}.md` `docs/*`';
    expect(findBrokenReferences(text, 'docs', exists)).toEqual(['gone.md', 'infra/c.ts']);
  });

  it('finds a command that does not exist', () => {
    const text = '`npm run check` and `npm run -s gone -- --now`, npm test, `npm run up` / `down`';
    expect(findUnknownCommands(text, ['check', 'up'])).toEqual(['gone', 'test']);
  });
});

describe('metrics', () => {
  const metrics = listMetrics(root);
  const exposed = new Set(metrics.flatMap((metric) => [metric.name, ...seriesOf(metric)]));
  const subsystems = [...new Set(metrics.map(({ name }) => name.split('_')[0]!))].join('|');
  const units = [...new Set(metrics.map(({ name }) => name.split('_').at(-1)!)), 'bucket', 'sum', 'count'].join('|');
  const span = new RegExp(`\`((?:${subsystems})_[a-z_]+_(?:${units}))(?:\\{[^\`]*\\})?\``, 'g');

  it.each(documents)('%s: metrics that it names are exposed', (document) => {
    const named = [...read(document).matchAll(span)].map(([, name]) => name!);
    expect(named.filter((name) => !exposed.has(name))).toEqual([]);
  });
});

describe('the required documents', () => {
  it.each([
    'docs/architecture.md',
    'docs/data-model.md',
    'docs/configuration.md',
    'docs/glossary.md',
    'docs/assignment-service.md',
    'docs/event-ingestion-service.md',
    'docs/experiments.md',
    'docs/clients.md',
    ...['assignment-service', 'ingestion-service'].flatMap((service) => [
      `api/${service}/DESIGN.md`,
      `api/${service}/API_SPEC.md`,
    ]),
  ])('%s is there', (path) => {
    expect(read(path).length).toBeGreaterThan(500);
  });

  it('has every script in the command table of the README', () => {
    const page = read('README.md');
    const table = page.slice(page.indexOf('## Commands'), page.indexOf('## Where to find things'));
    const named = [...table.matchAll(/`npm (?:run (?:-s )?)?([a-z:]+)/g)].map(([, script]) => script!);
    expect([...new Set(named)].sort()).toEqual(Object.keys(packageJson.scripts).sort());
  });

  it.each(['assignment-service', 'ingestion-service'])('has every error code of the %s in its API', (service) => {
    const source = execFileSync('git', ['ls-files', 'api/*.ts'], { cwd: root, encoding: 'utf8' })
      .split('\n')
      .filter((path) => /^api\/[^/]+\.ts$/.test(path) || path.startsWith(`api/${service}/`))
      .filter((path) => !/\.(test|contract)\.ts$/.test(path) && existsSync(join(root, path)))
      .map(read)
      .join('\n');
    const codes = [...source.matchAll(/(?:code: |RequestError\(\d+, )'([a-z-]+)'/g)].map(([, code]) => code!);
    const inside = ['dependency-unavailable', 'config-invalid', 'deadline-exceeded', 'unexpected'];
    const wanted = [...new Set(codes)].filter((code) => !inside.includes(code));
    expect(wanted.length).toBeGreaterThan(10);
    expect(wanted.filter((code) => !read(`api/${service}/API_SPEC.md`).includes(`\`${code}\``))).toEqual([]);
  });

  it('has every reason of an answer in the API of the assignment service', () => {
    const unions = ['domain/experiment/evaluate.ts', 'domain/assignment/variant-ranges.ts'].flatMap((path) =>
      [...read(path).matchAll(/type \w*Reason =([^;]+);/g)].map(([, union]) => union!),
    );
    const reasons = unions.flatMap((union) => [...union.matchAll(/'([a-z-]+)'/g)].map(([, reason]) => reason!));
    expect(reasons.length).toBeGreaterThan(12);
    const page = read('api/assignment-service/API_SPEC.md');
    const all = [
      ...experimentStatuses.filter((status) => status !== 'running'),
      ...reasons.filter((reason) => reason !== 'running'),
    ];
    expect(all.filter((reason) => !page.includes(`\`${reason}\``))).toEqual([]);
  });

  it('has every field of a definition file in the page on experiments', () => {
    const page = read('docs/experiments.md');
    const variant = experimentEntrySchema.properties.variants.items.properties;
    const version = policyEntrySchema.properties.versions.items.properties;
    const names = [experimentEntrySchema.properties, variant, policyEntrySchema.properties, version].flatMap(
      Object.keys,
    );
    expect(names.length).toBeGreaterThan(25);
    expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  it('has one contract card per consumer group, with the same headings in the same order', () => {
    const headings = [
      'Reads',
      'Writes',
      'Guarantee',
      'Commit point',
      'Ordering relied on',
      'Dead-letter reasons',
      'State and how it is rebuilt',
      'Flush triggers',
      'Lag objective',
      'Runbook',
    ];
    for (const group of topics.events.groups) {
      const card = read(`consumers/${group}/README.md`);
      expect(
        [...card.matchAll(/^- \*\*(.+?)\*\*: /gm)].map(([, heading]) => heading),
        group,
      ).toEqual(headings);
      expect(card).toContain(`](../../docs/runbooks/${group}.md)`);
      const settings = listSettings(flushSettings[group]);
      for (const { name, defaultValue } of settings.filter((entry) => entry.name.startsWith('FLUSH_MAX'))) {
        const value = Number(defaultValue);
        const written = name.endsWith('BYTES')
          ? `${value / 1_048_576} MiB`
          : name.endsWith('RECORDS')
            ? `${value.toLocaleString('en-US')} records`
            : value < 1_000
              ? `${value} ms`
              : `${value / 1_000} s`;
        expect(card, group).toContain(`${written} (\`${name}\`)`);
      }
    }
  });

  it('has every topic and every process in the flowchart of the architecture', () => {
    const flowchart = /```mermaid\n(flowchart[\s\S]*?)```/.exec(read('docs/architecture.md'))?.[1] ?? '';
    for (const { name } of Object.values(topics)) expect(flowchart).toContain(name);
    for (const { name } of processSpecs) expect(flowchart).toContain(`[${name}]`);
    const arrows = flowchart.split('\n').filter((line) => line.includes('-->'));
    expect(arrows.length).toBeGreaterThan(10);
    for (const line of arrows) expect(line, 'an edge needs a verb').toMatch(/-->\|[a-z].+\|/);
  });

  it('has every table and view in the data model', () => {
    const names = [...read('migrations/schema.sql').matchAll(/^CREATE (?:TABLE|VIEW) (exp\.\w+)/gm)].map(
      ([, name]) => name!,
    );
    expect(names.length).toBeGreaterThan(30);
    const page = read('docs/data-model.md');
    expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
    const mentioned = [...page.matchAll(/`(exp\.\w+)`/g)].map(([, name]) => name!);
    const functions = [...read('migrations/schema.sql').matchAll(/FUNCTION (exp\.\w+)\(/g)].map(([, name]) => name!);
    expect(mentioned.filter((name) => !names.includes(name) && !functions.includes(name))).toEqual([]);
  });

  it('has every role, every variable of Compose and every published port in the environments', () => {
    const page = read('infra/environments.md');
    for (const { role } of processSpecs) expect(page).toContain(`\`${role}\``);
    for (const [, port] of read('docker-compose.yml').matchAll(/127\.0\.0\.1:(\d+):\d+"/g))
      expect(page).toContain(`:${port}`);
  });

  it('keeps the glossary in order, each word once', () => {
    const words = [...read('docs/glossary.md').matchAll(/^\| ([^|]+) \|/gm)].map(([, word]) => word!.trim()).slice(1);
    const sorted = [...words].sort((a, b) => a.localeCompare(b, 'en', { sensitivity: 'base' }));
    expect(words).toEqual(sorted);
    expect(new Set(words).size).toBe(words.length);
  });
});
