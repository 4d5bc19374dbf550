// YAML text as a value whose parts know their line and column, so that every complaint can point at what it is about.
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml';

/** 1-based, as editors count. */
export type Position = { readonly line: number; readonly column: number };

export type LocatedProblem = Position & {
  readonly file: string;
  /** Such as `experiments[0].variants[1].allocation`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
};

export type PathPart = string | number;

export type YamlSource = {
  readonly file: string;
  readonly value: unknown;
  /** Where the path is written; what is not written is located at the nearest thing around it. */
  locate(path: readonly PathPart[]): Position;
  /** As `locate`, for a path written as text below `base`, such as `variants[1].allocation`. Keys may contain dots. */
  locateText(base: readonly PathPart[], text: string): Position;
};

export type ParsedYaml =
  | { readonly ok: true; readonly source: YamlSource }
  | { readonly ok: false; readonly problems: readonly LocatedProblem[] };

/** Parses one YAML 1.2 document. Duplicate keys, several documents and unknown tags are problems. */
export function parseYaml(file: string, text: string): ParsedYaml {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: true });
  const positionAt = (offset: number): Position => {
    const { line, col } = lineCounter.linePos(offset);
    return { line, column: col };
  };
  const syntaxProblems = [...document.errors, ...document.warnings].map(
    ({ message, pos }): LocatedProblem => ({ file, ...positionAt(pos[0]), path: '', message }),
  );
  if (syntaxProblems.length > 0) return { ok: false, problems: syntaxProblems };
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    // Aliases that would unfold into a huge document.
    const message = error instanceof Error ? error.message : String(error);
    return { ok: false, problems: [{ file, line: 1, column: 1, path: '', message }] };
  }

  const resolve = (node: unknown): Node | null => {
    const resolved = isAlias(node) ? node.resolve(document) : node;
    return isMap(resolved) || isSeq(resolved) || isScalar(resolved) ? resolved : null;
  };
  const positionOf = (node: Node | null, fallback: Position): Position =>
    node?.range ? positionAt(node.range[0]) : fallback;
  const keyOf = (pair: Pair): string => (isScalar(pair.key) ? String(pair.key.value) : '');

  type Step = { readonly node: Node | null; readonly position: Position };
  const begin = (): Step => ({
    node: resolve(document.contents),
    position: positionOf(document.contents, { line: 1, column: 1 }),
  });
  const enterPair = ({ position }: Step, pair: Pair): Step => {
    const key = isScalar(pair.key) ? positionOf(pair.key, position) : position;
    const node = resolve(pair.value);
    // A scalar is what is wrong; a list or a mapping is easier to find by its key.
    return { node, position: isScalar(pair.value) ? positionOf(pair.value, key) : key };
  };
  const enter = (step: Step, part: PathPart): Step | null => {
    const { node } = step;
    if (isMap(node)) {
      const pair = node.items.find((candidate) => keyOf(candidate) === String(part));
      return pair === undefined ? null : enterPair(step, pair);
    }
    if (!isSeq(node) || typeof part !== 'number') return null;
    const item = node.items[part];
    return item === undefined ? null : { node: resolve(item), position: positionOf(item as Node, step.position) };
  };
  const walk = (path: readonly PathPart[]): Step => {
    let step = begin();
    for (const part of path) {
      const next = enter(step, part);
      if (next === null) break;
      step = next;
    }
    return step;
  };

  const locateText = (base: readonly PathPart[], text: string): Position => {
    let step = walk(base);
    for (let rest = text; rest !== ''; ) {
      const found = isMap(step.node) ? findLongestKey(step.node.items.map(keyOf), rest) : rest.match(/^\[(\d+)\]/)?.[0];
      if (found === undefined) break;
      const next = enter(step, found.startsWith('[') && isSeq(step.node) ? Number(found.slice(1, -1)) : found);
      if (next === null) break;
      step = next;
      rest = rest.slice(found.length).replace(/^\./, '');
    }
    return step.position;
  };
  return { ok: true, source: { file, value, locate: (path) => walk(path).position, locateText } };
}

function findLongestKey(keys: readonly string[], rest: string): string | undefined {
  return keys
    .filter((key) => key !== '' && rest.startsWith(key) && /^($|[.[])/.test(rest.slice(key.length)))
    .reduce<string | undefined>((longest, key) => (key.length > (longest?.length ?? 0) ? key : longest), undefined);
}

/** The text of a path, as problems show it. */
export function formatPath(path: readonly PathPart[]): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
}

export function formatProblem({ file, line, column, path, message }: LocatedProblem): string {
  return `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`;
}
