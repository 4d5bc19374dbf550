// Reads docker-compose.yml the way Compose does: merge keys, then variables from an environment.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

export type ComposeService = {
  readonly image?: string;
  readonly build?: unknown;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly ports?: readonly string[];
  readonly profiles?: readonly string[];
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string; readonly required?: boolean }>>;
  readonly restart?: string;
};
export type ComposeFile = {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};

type Environment = Readonly<Record<string, string>>;

const variable = /\$(?:\$|\{([A-Z0-9_]+)(?::([?-])([^}]*))?\})/g;

/** Replaces `${NAME}`, `${NAME:-default}` and `${NAME:?message}`; `$$` is a dollar. @throws where Compose would refuse to start. */
export function interpolate(text: string, environment: Environment): string {
  return text.replaceAll(variable, (match, name?: string, operator?: string, rest?: string) => {
    if (match === '$$') return '$';
    const value = environment[name!] ?? '';
    if (value !== '') return value;
    if (operator === '-') return rest!;
    throw new Error(`${name}: ${operator === '?' ? rest : 'has no value'}`);
  });
}

/** Names of all variables that a text asks for. */
export function listVariables(text: string): Set<string> {
  return new Set([...text.matchAll(variable)].flatMap(([, name]) => name ?? []));
}

function interpolateAll(node: unknown, environment: Environment): unknown {
  if (typeof node === 'string') return interpolate(node, environment);
  if (Array.isArray(node)) return node.map((item) => interpolateAll(item, environment));
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, interpolateAll(value, environment)]));
}

export function parseComposeFile(path: string, environment: Environment): ComposeFile {
  return interpolateAll(parse(readFileSync(path, 'utf8'), { merge: true }), environment) as ComposeFile;
}
