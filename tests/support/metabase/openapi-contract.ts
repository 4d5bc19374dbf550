// The part of Metabase's OpenAPI description that provisioning needs, as a judge of requests and of our own answers.
import { readFileSync } from 'node:fs';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

type Operation = { readonly requestBody?: object; readonly responses?: Readonly<Record<string, { content?: object }>> };
type Description = { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> };

const text = readFileSync(new URL('openapi-subset.json', import.meta.url), 'utf8');
const description = JSON.parse(text) as Description;

const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
ajv.addSchema(description, 'metabase');

export type ContractRoute = {
  /** As in the description: `/api/card/{id}`. */
  readonly template: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** Problems of a request body; none when the operation takes no body. */
  checkRequest(body: unknown): string[];
  /** Problems of a successful answer. */
  checkAnswer(body: unknown): string[];
};

const pointerPart = (part: string): string => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));

const compiled = new Map<string, ValidateFunction>();
function problemsOf(pointer: readonly string[], value: unknown): string[] {
  const reference = `metabase#/${pointer.map(pointerPart).join('/')}`;
  const validate = compiled.get(reference) ?? ajv.compile({ $ref: reference });
  compiled.set(reference, validate);
  if (validate(value)) return [];
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath || '/'} ${message}`);
}

const bodySchema = ['content', 'application/json', 'schema'] as const;
const hasBodySchema = (part: object | undefined): boolean =>
  (part as { content?: Record<string, { schema?: object }> } | undefined)?.content?.['application/json']?.schema !==
  undefined;

/** The operation of a request, or null when the description has none. Routes without variables go first. */
export function findRoute(method: string, path: string): ContractRoute | null {
  const templates = Object.keys(description.paths).sort((a, b) => a.split('{').length - b.split('{').length);
  for (const template of templates) {
    const operation = description.paths[template]![method.toLowerCase()];
    const names = [...template.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name!);
    const pattern = new RegExp(`^${template.replaceAll(/\{[^}]+\}/g, '([^/]+)')}/?$`);
    const match = pattern.exec(path);
    if (operation === undefined || match === null) continue;
    const at = ['paths', template, method.toLowerCase()];
    return {
      template,
      parameters: Object.fromEntries(names.map((name, index) => [name, decodeURIComponent(match[index + 1]!)])),
      checkRequest: (body) =>
        hasBodySchema(operation.requestBody) ? problemsOf([...at, 'requestBody', ...bodySchema], body) : [],
      checkAnswer: (body) =>
        hasBodySchema(operation.responses?.['2XX']) ? problemsOf([...at, 'responses', '2XX', ...bodySchema], body) : [],
    };
  }
  return null;
}
