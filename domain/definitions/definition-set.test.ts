// Tests what a definition file may say: the examples, every kind of mistake with its place, and references between files.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import { createFileChecker } from './check-file.ts';
import { createDefinitionSet, type DefinitionSetResult } from './definition-set.ts';
import { renderEditorSchema } from './editor-schema.ts';
import { formatProblem, type LocatedProblem, parseYaml } from './yaml-source.ts';

const check = createFileChecker();

function read(files: Readonly<Record<string, string>>, stored: readonly string[] = []): DefinitionSetResult {
  const problems: LocatedProblem[] = [];
  const checked = Object.entries(files).flatMap(([file, text]) => {
    const parsed = parseYaml(file, text);
    if (!parsed.ok) {
      problems.push(...parsed.problems);
      return [];
    }
    const result = check(parsed.source);
    if (result.ok) return [{ source: parsed.source, content: result.content }];
    problems.push(...result.problems);
    return [];
  });
  return problems.length > 0 ? { ok: false, problems } : createDefinitionSet(checked, (id) => stored.includes(id));
}

const problemsOf = (result: DefinitionSetResult): string[] => (result.ok ? [] : result.problems.map(formatProblem));
const example = (name: string): string =>
  readFileSync(new URL(`../../config/${name}.example.yml`, import.meta.url), 'utf8');

test('the metrics of the workloads fit', () => {
  const seeds = readFileSync(new URL('../../config/metrics.yml', import.meta.url), 'utf8');
  expect(problemsOf(read({ 'metrics.yml': seeds }))).toEqual([]);
});

test('the examples fit, and their variants refer to the policy version by its derived id', () => {
  const result = read({ 'experiments.yml': example('experiments'), 'policies.yml': example('policies') });
  expect(problemsOf(result)).toEqual([]);
  const leftovers = result.ok ? result.set.experiments.find(({ body }) => body.key === 'planner-leftovers') : undefined;
  const id = policyVersionIdOf('meal-planner', 1);
  expect(leftovers?.references).toEqual(
    [0, 1].map((index) => ({ policyVersionId: id, field: `variants[${index}].config.policy_version_id` })),
  );
});

test('the published schema is the one that files are checked with (write it with "ops export-schema")', () => {
  const published = readFileSync(new URL('../../config/schemas/definitions.schema.json', import.meta.url), 'utf8');
  expect(published).toBe(renderEditorSchema());
});

test("the specification's shape is enough: a name, the unit type, variants with an allocation and a config", () => {
  const id = policyVersionIdOf('planner', 3);
  const result = read(
    {
      'a.yml': `experiments:
  - name: planner_v2
    unit_type: user
    variants:
      - { name: control, allocation: 0.9, config: { policy_version_id: ${id.toUpperCase()}, params: { n: 1 } } }
`,
    },
    [id],
  );
  expect(problemsOf(result)).toEqual([]);
  expect(result.ok && result.set.experiments[0]?.body).toMatchObject({
    key: 'planner_v2',
    variants: [{ config: { params: { n: 1 } } }],
  });
  expect(result.ok && result.set.experiments[0]?.references[0]?.policyVersionId).toBe(id);
});

const experimentWith = (lines: string): string =>
  `experiments:\n  - key: a\n    unit_type: user\n${lines}    variants: [{ name: control, allocation: 0.5 }]\n`;

test.each([
  [
    'an unknown field',
    '    coverrage: 0.5\n',
    'a.yml:4:16: experiments[0].coverrage: there is no such field; known are ',
  ],
  ['a share above 1', '    coverage: 50\n', 'a.yml:4:15: experiments[0].coverage: 50 must be at most 1'],
  ['a text where a number belongs', '    coverage: half\n', 'a.yml:4:15: experiments[0].coverage: must be a number'],
  ['a status that only commands give', '    status: paused\n', '"paused" is not one of draft, running'],
  ['a time without a zone', '    starts_at: 2026-01-05\n', '"2026-01-05" is not a time with a zone'],
  [
    'a guardrail with a negative bound',
    '    metrics: { guardrails: [{ metric: m, bound: -0.1 }] }\n',
    'a.yml:4:49: experiments[0].metrics.guardrails[0].bound: -0.1 must be at least 0',
  ],
  ['a test that nobody knows', '    analysis: { test: bayes }\n', '"bayes" is not one of sequential, fixed'],
])('says where and why: %s', (_, lines, expected) => {
  const problems = problemsOf(read({ 'a.yml': experimentWith(lines) }));
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(expected);
});

test('every mistake is reported, not only the first', () => {
  const problems = problemsOf(read({ 'a.yml': 'experiments:\n  - key: "a b"\n    unit_type: 7\n    variants: []\n' }));
  expect(problems.map((problem) => problem.split(' ')[0])).toEqual(['a.yml:2:10:', 'a.yml:3:16:', 'a.yml:4:5:']);
  expect(problems.join('\n')).toContain('experiments[0].key');
  expect(problems.join('\n')).toContain('experiments[0].unit_type: must be a string');
  expect(problems.join('\n')).toContain('experiments[0].variants: the list is empty');
});

test('a reference is an id or policy@version of something that exists', () => {
  const file = (reference: string): string =>
    `experiments:\n  - key: a\n    unit_type: user\n    variants:\n      - { name: c, allocation: 1, config: { policy_version_id: ${reference} } }\n`;
  expect(problemsOf(read({ 'a.yml': file('planner@2') }))).toEqual([
    'a.yml:5:64: experiments[0].variants[0].config.policy_version_id: there is no policy version planner@2: define it under policies',
  ]);
  expect(problemsOf(read({ 'a.yml': file('planner') }))[0]).toContain(
    'neither the id of a policy version nor policy@version',
  );
  const policies =
    'policies: [{ name: planner, versions: [{ version: 2, mlflow_model_name: m, mlflow_model_version: 7 }] }]\n';
  expect(problemsOf(read({ 'a.yml': file('planner@2'), 'b.yml': policies }))).toEqual([]);
});

test('what is defined twice is refused with the place of the first', () => {
  const policy =
    'policies:\n  - name: p\n    versions: [{ version: 1, mlflow_model_name: m, mlflow_model_version: "1" }]\n';
  const problems = problemsOf(
    read({ 'a.yml': experimentWith(''), 'b.yml': experimentWith(''), 'c.yml': policy, 'd.yml': policy }),
  );
  expect(problems).toEqual([
    'd.yml:2:11: policies[0].name: p is already defined in c.yml, line 2',
    'b.yml:2:10: experiments[0].key: a is already defined in a.yml, line 2',
  ]);
});

test.each([
  ['kind: ratio, numerator: a', 'a.yml:2:5: metrics[0].denominator: a metric of kind ratio needs denominator'],
  ['kind: sum, of: a, level: 0.5', 'a.yml:2:41: metrics[0].level: a metric of kind sum has no level; it has of, cap'],
  ['kind: median, of: a', 'is not one of sum, mean, proportion, ratio, quantile, conversion'],
  ['kind: quantile, of: a, level: 50', 'a.yml:2:46: metrics[0].level: 50 must be below 1'],
  ['kind: mean, of: { metric: a, take: max }', 'metrics[0].of: a metric of kind mean takes the values themselves'],
  ['kind: conversion, within: 1d', 'metrics[0].event_type: a conversion needs event_type, of, or both'],
  [
    'kind: conversion, event_type: e, from: 7d, within: 24h',
    'metrics[0].within: the window must close after it opens (7d)',
  ],
  ['kind: conversion, event_type: e, within: 1 week', 'metrics[0].within: "1 week" must match'],
  ['kind: sum, of: a, cap: { at: 1, quantile: 0.5 }', 'metrics[0].cap: give either at or quantile'],
])('says where and why of a metric: %s', (text, expected) => {
  const problems = problemsOf(read({ 'a.yml': `metrics:\n  - { name: m, ${text} }\n` }));
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(expected);
});

test('a metric is defined once', () => {
  const yaml = 'metrics:\n  - { name: m, kind: sum, of: a }\n';
  expect(problemsOf(read({ 'a.yml': yaml, 'b.yml': yaml }))).toEqual([
    'b.yml:2:13: metrics[0].name: m is already defined in a.yml, line 2',
  ]);
});

test('a name that cannot be a key needs a key', () => {
  const yaml = 'experiments:\n  - name: Two words\n    unit_type: user\n    variants: [{ name: c, allocation: 1 }]\n';
  expect(problemsOf(read({ 'a.yml': yaml }))[0]).toContain('a.yml:2:11: experiments[0].name: "Two words" cannot serve');
});

test.each(['', '# nothing\n', 'experiment: []\n', '[]\n', '{}\n'])(
  'a file without definitions is refused: %j',
  (text) => {
    expect(problemsOf(read({ 'a.yml': text }))).toHaveLength(1);
  },
);
