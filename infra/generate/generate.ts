// Everything that is generated from the code without a database, and the comparison with what is committed.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { catalogue } from '#analytics/metabase/catalogue.ts';
import { generateKubernetes } from '../kubernetes/manifests.ts';
import { readOpenApiDocuments } from './api-applications.ts';
import { generateApiSpecifications } from './api-specifications.ts';
import { generateDashboard } from './dashboard.ts';
import type { GeneratedFile } from './generated-file.ts';
import { generateMetabaseTree, treeFolder } from './metabase-tree.ts';
import { generateMetricsPage } from './metrics-page.ts';
import { listProcessSettings } from './process-settings.ts';
import { generateRecordTypes } from './record-types.ts';
import { generateSettingsDocuments } from './settings-documents.ts';
import { generateArchitecturePage } from './topic-tables.ts';

export async function generateAll(root: string): Promise<GeneratedFile[]> {
  const processes = await listProcessSettings(root);
  return [
    generateRecordTypes(),
    generateArchitecturePage(root),
    generateMetricsPage(root),
    generateDashboard(),
    ...generateApiSpecifications(root, await readOpenApiDocuments()),
    ...generateSettingsDocuments(processes),
    ...generateMetabaseTree(catalogue),
    ...generateKubernetes(processes),
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

/** Folders of which every such file is generated: one that nothing generates any more is a leftover. */
const generatedFolders = [
  { folder: 'config', suffix: '.reference.env' },
  { folder: treeFolder, suffix: '.yaml' },
] as const;

/** Files that were generated once and no longer are; none in a folder that the given files are not about. */
function findLeftovers(root: string, files: readonly GeneratedFile[]): string[] {
  return generatedFolders.flatMap(({ folder, suffix }) => {
    const wanted = new Set(files.map(({ path }) => path).filter((path) => path.startsWith(`${folder}/`)));
    if (wanted.size === 0 || !existsSync(join(root, folder))) return [];
    return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith(suffix))
      .map((file) => `${folder}/${file}`)
      .filter((path) => !wanted.has(path));
  });
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
  return [...stale, ...findLeftovers(root, files).map((path) => `${path}: nothing generates it any more`)];
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
