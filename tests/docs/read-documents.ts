// The Markdown documents of the repository and the commands in them.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRunElsewhere } from './commands-run-elsewhere.ts';
import { listCommands, listShellBlocks, type ShellBlock } from './document-commands.ts';

const root = join(import.meta.dirname, '..', '..');

export const readDocument = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Paths of every document that git knows or would add, in order. */
export function listDocuments(): string[] {
  return execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
    cwd: root,
    encoding: 'utf8',
  })
    .split('\n')
    .filter((path) => path !== '' && existsSync(join(root, path)))
    .sort();
}

/** The blocks of a document that the test of documents runs. @throws for a block of which it runs only a part. */
export function listBlocksToRun(path: string): ShellBlock[] {
  return listShellBlocks(readDocument(path)).filter((block) => {
    const commands = listCommands(block.text);
    const elsewhere = commands.filter(isRunElsewhere);
    if (elsewhere.length > 0 && elsewhere.length < commands.length)
      throw new Error(`${path}:${block.line}: put "${elsewhere[0]}" into a block of its own: another test runs it`);
    return elsewhere.length === 0;
  });
}
