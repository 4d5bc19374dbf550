// Tests of the generators: types, tables and reference files say what the code says, and a stale file is found.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { parseSettings } from '#platform/config/settings.ts';
import { processSpecs } from '../system/process-specs.ts';
import { fillSpecification, type OpenApi, type Schema } from './api-specifications.ts';
import { findStale, writeStale } from './generate.ts';
import { replaceGeneratedPart, toMarkdownTable } from './generated-file.ts';
import { listProcessSettings } from './process-settings.ts';
import { toTypeScript } from './record-types.ts';
import { renderDefault } from './settings-documents.ts';
import { processTable, topicTable } from './topic-tables.ts';

const root = join(import.meta.dirname, '..', '..');
const processes = await listProcessSettings(root);
const scratch = mkdtempSync(join(tmpdir(), 'trialstream-generate-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const readReference = (name: string): string => readFileSync(join(root, 'config', `${name}.reference.env`), 'utf8');

describe('record types', () => {
  it('unwraps unions and keeps numbers of logical types', () => {
    expect(toTypeScript(['null', 'bytes'])).toBe('null | Buffer');
    expect(toTypeScript({ type: 'long', logicalType: 'timestamp-millis' })).toBe('number');
    expect(toTypeScript(['int', 'double'])).toBe('number');
  });

  it('nests arrays, maps and records', () => {
    const record = { type: 'record', name: 'Pair', fields: [{ name: 'name', type: 'string' }] };
    expect(toTypeScript({ type: 'array', items: record })).toBe('{ name: string }[]');
    expect(toTypeScript({ type: 'array', items: ['null', 'string'] })).toBe('(null | string)[]');
    expect(toTypeScript({ type: 'map', values: 'double' })).toBe('Record<string, number>');
  });

  it('refuses a type it does not know', () => {
    expect(() => toTypeScript('decimal')).toThrow('decimal');
  });
});

describe('the specification of an API', () => {
  const answer = { type: 'object', required: ['id'], properties: { id: { type: 'string', description: 'Who' } } };
  const documentWith = (fields: Schema['properties'] & object, statuses: object): OpenApi => ({
    paths: {
      '/v1/things': {
        post: {
          summary: 'Make a thing',
          security: [{ apiKey: ['admin'] }, { apiKey: ['read'] }],
          requestBody: {
            content: {
              'application/json': {
                schema: {
                  type: 'object',
                  required: ['list'],
                  properties: {
                    list: { type: 'array', items: { type: 'object', properties: fields } },
                    limit: { anyOf: [{ type: 'integer', minimum: 1, maximum: 9 }, { type: 'null' }] },
                  },
                },
              },
            },
          },
          responses: {
            200: { description: 'The answer', content: { 'application/json': { schema: answer } } },
            ...statuses,
          },
        },
      },
    },
  });
  const parts = ['endpoints', 'statuses', 'POST /v1/things'];
  const pageWith = (names: readonly string[]): string =>
    names.map((name) => `<!-- generated: ${name} -->\n<!-- end generated -->\n`).join('');

  it('has every field, status and scope', () => {
    const small = { name: { enum: ['a', 'b'] } };
    const page = fillSpecification(pageWith(parts), documentWith(small, { 409: { description: 'Taken' } }));
    expect(page).toContain('| `POST /v1/things` | `admin` or `read` | Make a thing |');
    expect(page).toContain('| 409 | Taken |');
    expect(page).toContain('| `list` | list of object | required |  |');
    expect(page).toContain('| `list[].name` | "a" or "b" |  |  |');
    expect(page).toContain('| `limit` | integer or null |  | 1 to 9 |');
    expect(page).toContain('| `id` | string | always | Who |');
    expect(page).toContain('Statuses: 200, 409.');
    expect(fillSpecification(page, documentWith({ ...small, more: {} }, {}))).not.toBe(page);
  });

  it('shows the fields of a schema that is named and not written out', () => {
    const document: OpenApi = {
      components: { schemas: { 'def-0': { type: 'object', properties: { unit: { type: 'string' } } } } },
      paths: documentWith({}, {}).paths,
    };
    const body = { content: { 'application/json': { schema: { anyOf: [{ $ref: '#/components/schemas/def-0' }] } } } };
    const operation = { ...document.paths['/v1/things']!.post!, requestBody: body as object as { content: object } };
    const named = { ...document, paths: { '/v1/things': { post: operation } } } as OpenApi;
    expect(fillSpecification(pageWith(parts), named)).toContain('| `unit` | string |  |  |');
    expect(() => fillSpecification(pageWith(parts), { ...named, components: {} })).toThrow('def-0');
  });

  it('is refused without the part of an endpoint, and with one that there is no endpoint for', () => {
    const document = documentWith({}, {});
    expect(() => fillSpecification(pageWith(parts.slice(0, 2)), document)).toThrow('POST /v1/things');
    expect(() => fillSpecification(pageWith([...parts, 'GET /v1/gone']), document)).toThrow('GET /v1/gone');
  });
});

describe('generated parts of a page', () => {
  it('replaces only what is between the markers', () => {
    const page = 'before\n<!-- generated: a -->\nold\n<!-- end generated -->\nafter\n';
    expect(replaceGeneratedPart(page, 'a', 'new')).toBe(
      'before\n<!-- generated: a -->\nnew\n<!-- end generated -->\nafter\n',
    );
  });

  it('refuses a page without the markers', () => {
    expect(() => replaceGeneratedPart('nothing', 'a', 'new')).toThrow('generated: a');
  });

  it('escapes pipes in tables', () => {
    expect(toMarkdownTable(['a'], [['x|y']])).toContain('x\\|y');
  });

  it('has the outbox relay in the assignment service and every group with its topic', () => {
    expect(processTable()).toMatch(/assignment-service .*`exp\.assignments\.v1`, `exp\.definitions\.v1`/);
    for (const name of ['postgres-sink', 'parquet-archiver', 'metrics-aggregator', 'dataset-builder'])
      expect(topicTable()).toContain(`group ${name}`);
  });
});

describe('settings of the processes', () => {
  it('covers every process that is started', () => {
    const names = processes.map(({ name }) => name);
    for (const spec of processSpecs) expect(names).toContain(spec.name);
  });

  it.each(processes.map((entry) => [entry.name, entry] as const))(
    'gives a reference file of %s that parses, with the defaults it documents',
    (name, { schema, settings }) => {
      const text = readReference(name);
      const required = parseSettings(schema, parseEnv(text));
      expect(required.ok ? [] : required.problems).toEqual([]);
      const withDefaults = parseSettings(schema, parseEnv(text.replaceAll(/^#([A-Z0-9_]+=)/gm, '$1')));
      expect(withDefaults).toEqual(required);
      const named = [...text.matchAll(/^#?([A-Z0-9_]+)=/gm)].map((match) => match[1]);
      expect(named).toEqual(settings.map((setting) => setting.name));
    },
  );

  it('renders defaults so that their own parser reads them back', () => {
    for (const setting of processes.flatMap((entry) => entry.settings)) {
      const text = renderDefault(setting);
      // An empty text is how an empty list is written: it counts as absent and the default is taken.
      if (text !== undefined && text !== '') expect(setting.parser.parse(text)).toEqual(setting.defaultValue);
    }
  });
});

describe('freshness', () => {
  it('names a changed file, a missing one and a leftover, and is content after writing', () => {
    mkdirSync(join(scratch, 'config'));
    mkdirSync(join(scratch, 'docs'));
    writeFileSync(join(scratch, 'docs', 'a.md'), 'one\ntwo\n');
    writeFileSync(join(scratch, 'config', 'gone.reference.env'), '');
    const files = [
      { path: 'docs/a.md', text: 'one\nthree\n' },
      { path: 'config/b.reference.env', text: 'b\n' },
    ];
    expect(findStale(scratch, files)).toEqual([
      'docs/a.md:2: expected "three"',
      'config/b.reference.env: missing',
      'config/gone.reference.env: nothing generates it any more',
    ]);
    writeStale(scratch, files);
    expect(findStale(scratch, files)).toEqual([]);
  });

  it('leaves reference files alone when it writes something else', () => {
    writeFileSync(join(scratch, 'config', 'kept.reference.env'), '');
    writeStale(scratch, [{ path: 'docs/c.md', text: 'c\n' }]);
    expect(readFileSync(join(scratch, 'config', 'kept.reference.env'), 'utf8')).toBe('');
  });
});
