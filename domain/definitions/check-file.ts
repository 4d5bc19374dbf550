// Checks a YAML value against the schema of definition files and says what is wrong in words, with its place.
import { Ajv, type ErrorObject } from 'ajv';
import { storableTextFormat } from './definition-body.ts';
import { type DefinitionFile, definitionFileSchema } from './file-schema.ts';
import { formatPath, type LocatedProblem, type PathPart, type YamlSource } from './yaml-source.ts';

export type CheckedFile =
  | { readonly ok: true; readonly content: DefinitionFile }
  | { readonly ok: false; readonly problems: readonly LocatedProblem[] };

const zonedTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/i;
// Postgres stores no U+0000 and no half of a surrogate pair.
const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

/** A function that checks files; making it compiles the schema, so make it once. */
export function createFileChecker(): (source: YamlSource) => CheckedFile {
  const ajv = new Ajv({
    allErrors: true,
    verbose: true,
    formats: {
      uuid: /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i,
      'date-time': (text: string) => zonedTime.test(text) && !Number.isNaN(Date.parse(text)),
      [storableTextFormat]: isStorable,
    },
  });
  const validate = ajv.compile<DefinitionFile>(definitionFileSchema);
  return (source) => {
    if (source.value === null || source.value === undefined) {
      return {
        ok: false,
        problems: [problemAt(source, [], 'the file is empty: it needs experiments, policies or metrics')],
      };
    }
    if (validate(source.value)) return { ok: true, content: source.value };
    return { ok: false, problems: toProblems(source, validate.errors ?? []) };
  };
}

/** Nobody reads more at once, and each has to be located. */
const mostErrors = 100;

function toProblems(source: YamlSource, allErrors: readonly ErrorObject[]): LocatedProblem[] {
  const errors = allErrors.slice(0, mostErrors);
  const byPlace = new Map<string, LocatedProblem>();
  for (const error of errors) {
    // Says only that none of the alternatives fit, after each of them has said why.
    if (error.keyword === 'anyOf' && errors.some((other) => other !== error && isWithin(other, error))) continue;
    const path = toPath(source.value, error.instancePath);
    const name = error.keyword === 'additionalProperties' ? String(error.params.additionalProperty) : null;
    const place = name === null ? path : [...path, name];
    const problem = problemAt(source, place, toMessage(error));
    const key = formatPath(place);
    const known = byPlace.get(key);
    // Alternatives of one place become one sentence.
    byPlace.set(
      key,
      known === undefined || known.message === problem.message
        ? problem
        : { ...known, message: `${known.message}, or ${problem.message}` },
    );
  }
  const unshown = allErrors.length - errors.length;
  return unshown === 0
    ? [...byPlace.values()]
    : [...byPlace.values(), problemAt(source, [], `and ${unshown} more problems of this kind`)];
}

const isWithin = (inner: ErrorObject, outer: ErrorObject): boolean =>
  inner.schemaPath.startsWith(`${outer.schemaPath}/`) && inner.instancePath.startsWith(outer.instancePath);

function problemAt(source: YamlSource, path: readonly PathPart[], message: string): LocatedProblem {
  return { file: source.file, ...source.locate(path), path: formatPath(path), message };
}

function toPath(root: unknown, pointer: string): PathPart[] {
  let value = root;
  return pointer
    .split('/')
    .slice(1)
    .map((escaped) => {
      const name = escaped.replaceAll('~1', '/').replaceAll('~0', '~');
      const part = Array.isArray(value) ? Number(name) : name;
      value = (value as Record<PathPart, unknown> | undefined)?.[part];
      return part;
    });
}

function describeValue(value: unknown): string {
  if (typeof value === 'string') return `"${value.length > 60 ? `${value.slice(0, 60)}…` : value}"`;
  // Its own `toString` may be anything.
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'a mapping';
  return String(value);
}

function toMessage({ keyword, params, data, parentSchema }: ErrorObject): string {
  const shown = describeValue(data);
  switch (keyword) {
    case 'additionalProperties': {
      const known = Object.keys((parentSchema as { properties?: object } | undefined)?.properties ?? {});
      return `there is no such field; known are ${known.join(', ')}`;
    }
    case 'required':
      return `${params.missingProperty} is missing`;
    case 'type':
      return `must be ${params.type === 'null' ? 'null' : `a ${params.type}`.replace(/^a (?=[aeiou])/, 'an ')}`;
    case 'enum':
      return `${shown} is not one of ${(params.allowedValues as unknown[]).join(', ')}`;
    case 'minimum':
    case 'maximum':
      return `${shown} must be ${keyword === 'minimum' ? 'at least' : 'at most'} ${params.limit}`;
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return `${shown} must be ${keyword === 'exclusiveMinimum' ? 'above' : 'below'} ${params.limit}`;
    case 'pattern':
      return `${shown} must match ${params.pattern}`;
    case 'format':
      return params.format === 'date-time'
        ? `${shown} is not a time with a zone, such as 2026-01-05T09:00:00Z`
        : `${shown} is not a ${params.format}`;
    case 'minItems':
      return 'the list is empty';
    case 'minProperties':
      return 'the file needs experiments, policies or metrics';
    case 'minLength':
      return 'must not be empty';
    case 'maxLength':
    case 'maxItems':
      return `is too long: at most ${params.limit}`;
    default:
      return `does not fit (${keyword})`;
  }
}
