// Every operational metric that our code declares, and which processes load that code: read from the source files.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { processSpecs } from '../system/process-specs.ts';

export type Metric = {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Processes that expose it, in the order of the process specifications. */
  readonly processes: readonly string[];
};

const importPattern = /^(?:import|export) (?!type )[^;']*?'([#.][^']+)'|import\('([#.][^']+)'\)/gms;
const declarationPattern =
  /metrics\s*\.(counter|gauge|histogram)\(\s*'([^']+)',\s*('(?:[^'\\]|\\.)*'|"[^"]*")(?:,\s*(\[[^\]]*\]|[a-z]\w*))?/gs;

/** Paths of our files that an entry file loads, itself included; types alone load nothing. */
function listLoadedFiles(root: string, entry: string): Set<string> {
  const loaded = new Set<string>();
  const visit = (path: string): void => {
    if (loaded.has(path) || !existsSync(join(root, path))) return;
    loaded.add(path);
    for (const [, fixed, dynamic] of readFileSync(join(root, path), 'utf8').matchAll(importPattern)) {
      const target = (fixed ?? dynamic)!;
      visit(target.startsWith('#') ? target.slice(1) : normalize(join(dirname(path), target)));
    }
  };
  visit(entry);
  return loaded;
}

/** Label names of a declaration: a list, or the name of a constant of the same file. @throws when they are neither. */
function parseLabels(path: string, text: string, written: string | undefined): string[] {
  if (written === undefined) return [];
  const list = written.startsWith('[') ? written : new RegExp(`const ${written} = (\\[[^\\]]*\\])`).exec(text)?.[1];
  if (list === undefined) throw new Error(`${path}: the labels ${written} are not a list in the same file`);
  return [...list.matchAll(/'([^']+)'/g)].map(([, label]) => label!);
}

function listDeclarations(root: string, path: string): Omit<Metric, 'processes'>[] {
  const text = readFileSync(join(root, path), 'utf8');
  return [...text.matchAll(declarationPattern)].map(([, type, name, help, labels]) => ({
    name: name!,
    type: type as Metric['type'],
    help: help!.slice(1, -1).replaceAll("\\'", "'"),
    labels: parseLabels(path, text, labels),
  }));
}

/** All metrics by name. The tests compare this with what running processes expose. */
export function listMetrics(root: string): Metric[] {
  const found = new Map<string, Metric>();
  for (const spec of processSpecs) {
    for (const path of listLoadedFiles(root, spec.entry)) {
      for (const declared of listDeclarations(root, path)) {
        const processes = [...(found.get(declared.name)?.processes ?? []), spec.name];
        found.set(declared.name, { ...declared, processes });
      }
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Series of a metric as Prometheus stores them: a histogram has three. */
export function seriesOf({ name, type }: Pick<Metric, 'name' | 'type'>): string[] {
  return type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name];
}
