// Copies of this repository's code with changed lines, ready to run: another release, or one with a promise broken on purpose.
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '#infra/local/local-dir.ts';

export type CodeChange = {
  readonly name: string;
  readonly file: string;
  /** Must be in the file exactly once. */
  readonly text: string;
  readonly replacement: string;
};

export type CodeCopy = { readonly root: string; remove(): Promise<void> };

/** What our processes are made of, and the command line that deploys them. */
const folders = ['analytics', 'api', 'consumers', 'domain', 'migrations', 'ops', 'platform', 'producers', 'schemas'];

/** @throws when the text to replace is not there exactly once: then the code has moved on, and the change must follow. */
export function changeText(source: string, { file, text, replacement }: CodeChange): string {
  const parts = source.split(text);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} places like this, expected one:\n${text}`);
  return parts.join(replacement);
}

/** A folder with the changed code; its packages are those of this repository. */
export async function copyWithChanges(changes: readonly CodeChange[]): Promise<CodeCopy> {
  const root = await mkdtemp(join(tmpdir(), 'trialstream-changed-'));
  await Promise.all(folders.map((folder) => cp(join(repositoryRoot, folder), join(root, folder), { recursive: true })));
  await cp(join(repositoryRoot, 'package.json'), join(root, 'package.json'));
  await symlink(join(repositoryRoot, 'node_modules'), join(root, 'node_modules'));
  for (const change of changes) {
    const path = join(root, change.file);
    await writeFile(path, changeText(await readFile(path, 'utf8'), change));
  }
  return { root, remove: () => rm(root, { recursive: true, force: true }) };
}
