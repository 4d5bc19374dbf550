// The tables in api/*/API_SPEC.md, from the OpenAPI documents that the services serve: endpoints, scopes, fields, statuses.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GeneratedFile, replaceGeneratedPart, toMarkdownTable } from './generated-file.ts';

export type Schema = {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly additionalProperties?: boolean | Schema;
  readonly description?: string;
  readonly format?: string;
  readonly pattern?: string;
} & Readonly<Partial<Record<'minimum' | 'maximum' | 'minLength' | 'maxLength' | 'maxItems', number>>>;
type Content = Readonly<Record<string, { readonly schema?: Schema }>>;
type Parameter = {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly schema: Schema;
  readonly description?: string;
};
type Operation = {
  readonly summary?: string;
  readonly description?: string;
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
};
type Endpoint = { readonly name: string; readonly operation: Operation };
export type OpenApi = {
  readonly components?: { readonly schemas?: Readonly<Record<string, unknown>> };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};

/** The value with every `$ref` replaced by the schema it names. @throws when there is none of that name. */
function withoutReferences(value: unknown, schemas: Readonly<Record<string, unknown>>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((entry) => withoutReferences(entry, schemas));
  const { $ref: reference } = value as { $ref?: unknown };
  if (typeof reference === 'string') {
    const name = reference.split('/').at(-1)!;
    if (!Object.hasOwn(schemas, name)) throw new Error(`there is no schema ${reference}`);
    return withoutReferences(schemas[name], schemas);
  }
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, withoutReferences(entry, schemas)]));
}

const code = (text: string): string => `\`${text}\``;

function listEndpoints(document: OpenApi): Endpoint[] {
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  );
}

const typesOf = ({ type, anyOf, items, enum: values }: Schema): string[] => {
  if (anyOf !== undefined) return [...new Set(anyOf.flatMap(typesOf))];
  if (values !== undefined) return values.map((value) => JSON.stringify(value));
  if (type === 'array') return [items === undefined ? 'list' : `list of ${typesOf(items).join(' or ')}`];
  if (type === undefined) return ['anything'];
  return typeof type === 'string' ? [type] : [...type];
};

/** Formats and patterns that a reader needs in other words than the validator. */
const formats: Readonly<Record<string, string>> = {
  'storable-text': '',
  uuid: 'a UUID',
  'date-time': 'ISO 8601 with a zone',
};

function describeBounds(schema: Schema): string[] {
  const { minimum, maximum, minLength, maxLength, maxItems, format, pattern } = schema;
  const inner = (schema.anyOf ?? []).flatMap(describeBounds);
  return [
    ...(minimum !== undefined && maximum !== undefined ? [`${minimum} to ${maximum}`] : []),
    ...(minimum !== undefined && maximum === undefined ? [`at least ${minimum}`] : []),
    ...(minLength !== undefined && maxLength === undefined ? ['not empty'] : []),
    ...(maxLength === undefined
      ? []
      : [`${minLength === undefined ? 'at most' : `${minLength} to`} ${maxLength} characters`]),
    ...(maxItems === undefined ? [] : [`at most ${maxItems}`]),
    ...(pattern === undefined || schema.description?.includes('UUID') === true ? [] : [`matches ${code(pattern)}`]),
    ...(format === undefined ? [] : [formats[format] ?? format]),
    ...inner,
  ].filter((text) => text !== '');
}

type Row = { readonly field: string; readonly type: string; readonly required: boolean; readonly meaning: string };

/** One row per field, nested ones by their path; `[]` is every item of a list. */
function listFields(schema: Schema, path: string): Row[] {
  const object =
    schema.properties === undefined ? schema.anyOf?.find(({ properties }) => properties !== undefined) : schema;
  const rows: Row[] = [];
  for (const [name, property] of Object.entries(object?.properties ?? {})) {
    const field = path === '' ? name : `${path}.${name}`;
    const meaning = [property.description ?? '', describeBounds(property).join(', ')].filter((text) => text !== '');
    rows.push({
      field,
      type: typesOf(property).join(' or '),
      required: object?.required?.includes(name) ?? false,
      meaning: meaning.join('; '),
    });
    rows.push(...listFields(property, field));
    if (property.items !== undefined) rows.push(...listFields(property.items, `${field}[]`));
  }
  return rows;
}

const fieldTable = (title: 'parameter' | 'request' | 'answer', rows: readonly Row[]): string =>
  toMarkdownTable(
    [title, 'type', '', 'meaning'],
    rows.map(({ field, type, required, meaning }) => [
      code(field),
      type,
      required ? (title === 'answer' ? 'always' : 'required') : '',
      meaning,
    ]),
  );

/** Request alternatives such as one event or a list of events describe the same fields: the first one stands for all. */
function soleSchema(content: Content | undefined): Schema | undefined {
  const schema = Object.values(content ?? {})[0]?.schema;
  return schema?.anyOf?.find(({ properties }) => properties !== undefined) ?? schema;
}

const isSuccess = (status: string): boolean => status < '300';

function scopesOf({ security }: Operation): string {
  const scopes = (security ?? []).flatMap((entry) => Object.values(entry).flat());
  return scopes.map(code).join(' or ');
}

const statusesOf = ({ responses }: Operation): string[] => Object.keys(responses).sort();

/** The part of one endpoint. `shown` remembers which schema was shown where, so that each is shown once. */
function describeEndpoint({ name, operation }: Endpoint, shown: Map<string, string>): string {
  const parts = [
    [operation.summary, operation.description]
      .filter((text) => text !== undefined)
      .join('. ')
      .replace(/\.?$/, '.'),
  ];
  const showFields = (title: 'request' | 'answer', schema: Schema | undefined): void => {
    const rows = schema === undefined ? [] : listFields(schema, '');
    if (rows.length === 0) return;
    const text = JSON.stringify(rows);
    const before = shown.get(text);
    parts.push(before === undefined ? fieldTable(title, rows) : `The ${title} is that of ${code(before)}.`);
    if (before === undefined) shown.set(text, name);
  };
  const parameters = (operation.parameters ?? []).map(({ name: field, in: place, required, schema, description }) => ({
    field,
    type: typesOf(schema).join(' or '),
    required: required ?? false,
    meaning: [place, description ?? schema.description ?? '', describeBounds(schema).join(', ')]
      .filter((text) => text !== '')
      .join('; '),
  }));
  if (parameters.length > 0) parts.push(fieldTable('parameter', parameters));
  showFields('request', soleSchema(operation.requestBody?.content));
  const success = statusesOf(operation).find(isSuccess);
  showFields('answer', success === undefined ? undefined : soleSchema(operation.responses[success]?.content));
  parts.push(`Statuses: ${statusesOf(operation).join(', ')}.`);
  return parts.join('\n\n');
}

function endpointTable(endpoints: readonly Endpoint[]): string {
  return toMarkdownTable(
    ['endpoint', 'scope', 'what it does'],
    endpoints.map(({ name, operation }) => [code(name), scopesOf(operation), operation.summary ?? '']),
  );
}

/** Each status with what it means, and where it means something of its own. */
function statusTable(endpoints: readonly Endpoint[]): string {
  const statuses = [...new Set(endpoints.flatMap(({ operation }) => statusesOf(operation)))].sort();
  return toMarkdownTable(
    ['status', 'meaning'],
    statuses.map((status) => {
      const meanings = Map.groupBy(
        endpoints.filter(({ operation }) => operation.responses[status] !== undefined),
        ({ operation }) => operation.responses[status]!.description,
      );
      const [usual] = [...meanings].sort(([, a], [, b]) => b.length - a.length)[0]!;
      const others = isSuccess(status) ? [] : [...meanings].filter(([meaning]) => meaning !== usual);
      return [
        status,
        [usual, ...others.map(([meaning, at]) => `${at.map(({ name }) => code(name)).join(', ')}: ${meaning}`)].join(
          '; ',
        ),
      ];
    }),
  );
}

/**
 * The page with its generated parts up to date: `endpoints`, `statuses`, and one per endpoint. @throws when the page lacks the part
 * of an endpoint, or has one of an endpoint that does not exist.
 */
export function fillSpecification(page: string, document: OpenApi): string {
  const schemas = document.components?.schemas ?? {};
  const endpoints = listEndpoints(withoutReferences(document, schemas) as OpenApi);
  const names = ['endpoints', 'statuses', ...endpoints.map(({ name }) => name)];
  const unknown = [...page.matchAll(/<!-- generated: (.+?) -->/g)]
    .map(([, name]) => name!)
    .filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`the page has a part for what does not exist: ${unknown.join(', ')}`);
  const shown = new Map<string, string>();
  const parts: readonly (readonly [string, string])[] = [
    ['endpoints', endpointTable(endpoints)],
    ['statuses', statusTable(endpoints)],
    ...endpoints.map((endpoint) => [endpoint.name, describeEndpoint(endpoint, shown)] as const),
  ];
  return parts.reduce((text, [name, body]) => replaceGeneratedPart(text, name, `\n${body}\n`), page);
}

export function generateApiSpecifications(root: string, documents: Readonly<Record<string, unknown>>): GeneratedFile[] {
  return Object.entries(documents).map(([service, document]) => {
    const path = `api/${service}/API_SPEC.md`;
    return { path, text: fillSpecification(readFileSync(join(root, path), 'utf8'), document as OpenApi) };
  });
}
