// Finds what a Markdown document refers to and does not exist: files behind links, paths in code spans, npm scripts.
import { join } from 'node:path';

const linkPattern = /\]\(([^)\s]+)\)/g;
const codeSpanPattern = /`([^`\n]+)`/g;
/** Code spans that are paths of this repository: they start with one of its folders. */
const pathPattern =
  /^(?:schemas|domain|platform|producers|api|consumers|workers|ops|migrations|infra|tests|docs|config|bench|data|analytics|clients|training|pipelines)\/[\w./-]*$/;

/** Links are relative to the folder of the document, paths in code spans to the root or to that folder. */
export function findBrokenReferences(text: string, folder: string, exists: (path: string) => boolean): string[] {
  const links = [...text.matchAll(linkPattern)]
    .map(([, target]) => target!.split('#')[0]!)
    .filter((target) => target !== '' && !/^[a-z]+:/.test(target) && !exists(join(folder, target)));
  const paths = [...text.matchAll(codeSpanPattern)]
    .map(([, span]) => span!)
    .filter((span) => pathPattern.test(span) && !exists(span) && !exists(join(folder, span)));
  return [...links, ...paths];
}

/** Scripts named by `npm run X`, `npm test` or `npm start` that package.json does not have. */
export function findUnknownCommands(text: string, scripts: readonly string[]): string[] {
  const named = [...text.matchAll(/\bnpm (?:run (?:-s |--silent )?([\w:-]+)|(test|start)\b)/g)];
  return named.flatMap(([, run, short]) => run ?? short ?? []).filter((script) => !scripts.includes(script));
}
