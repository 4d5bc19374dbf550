// Everything that is generated from the code without a database, and the comparison with what is committed.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readOpenApiDocuments } from './api-applications.ts';
import { generateApiSpecifications } from './api-specifications.ts';
import type { GeneratedFile } from './generated-file.ts';
import { listProcessSettings } from './process-settings.ts';
import { generateRecordTypes } from './record-types.ts';
import { generateSettingsDocuments } from './settings-documents.ts';
import { generateArchitecturePage } from './topic-tables.ts';

export async function generateAll(root: string): Promise<GeneratedFile[]> {
  return [
    generateRecordTypes(),
    generateArchitecturePage(root),
    ...generateApiSpecifications(root, await readOpenApiDocuments()),
    ...generateSettingsDocuments(await listProcessSettings(root)),
  ];
}

function readCommitted(root: string, path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Reference files of processes that no longer exist; none when the files are not about processes. */
function findLeftovers(root: string, files: readonly GeneratedFile[]): string[] {
  const wanted = new Set(files.map(({ path }) => path).filter((path) => path.startsWith('config/')));
  if (wanted.size === 0) return [];
  return readdirSync(join(root, 'config'))
    .filter((file) => file.endsWith('.reference.env'))
    .map((file) => `config/${file}`)
    .filter((path) => !wanted.has(path));
}

/** One line per file that differs from what the code gives, with the first line that does. */
export function findStale(root: string, files: readonly GeneratedFile[]): string[] {
  const stale = files.flatMap(({ path, text }) => {
    const committed = readCommitted(root, path);
    if (committed === text) return [];
    if (committed === undefined) return [`${path}: missing`];
    const [found, expected] = [committed.split('\n'), text.split('\n')];
    const index = expected.findIndex((line, at) => line !== found[at]);
    const line = index === -1 ? expected.length : index;
    return [`${path}:${line + 1}: expected ${JSON.stringify(expected[line] ?? 'the end of the file')}`];
  });
  return [...stale, ...findLeftovers(root, files).map((path) => `${path}: no process of that name`)];
}

/** Writes what differs and returns the paths. */
export function writeStale(root: string, files: readonly GeneratedFile[]): string[] {
  const written = files.filter(({ path, text }) => readCommitted(root, path) !== text);
  for (const { path, text } of written) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const leftovers = findLeftovers(root, files);
  for (const path of leftovers) rmSync(join(root, path));
  return [...written.map(({ path }) => path), ...leftovers];
}
