// The documents name files, commands, tables, topics and processes that exist.
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { processSpecs } from '#infra/system/process-specs.ts';
import { topics } from '#schemas/topics.ts';
import { findBrokenReferences, findUnknownCommands } from './document-references.ts';
import { listDocuments, readDocument } from './read-documents.ts';

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

describe('the required documents', () => {
  it.each(['architecture', 'data-model', 'configuration', 'glossary'])('docs/%s.md is there', (name) => {
    expect(read(`docs/${name}.md`).length).toBeGreaterThan(500);
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
