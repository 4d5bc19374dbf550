// No document has a command that no test runs: blocks for a shell are run by tests/end-to-end/documents.test.ts, or named as run elsewhere.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commandsRunElsewhere, isRunElsewhere } from './commands-run-elsewhere.ts';
import {
  isCovered,
  knownLanguages,
  listBlocks,
  listCommands,
  listProseCommands,
  listShellBlocks,
  subjectOf,
} from './document-commands.ts';
import { listBlocksToRun, listDocuments, readDocument } from './read-documents.ts';

const documents = listDocuments();
const commandsRun = documents.flatMap((path) => listBlocksToRun(path).flatMap(({ text }) => listCommands(text)));

describe('every document', () => {
  it.each(documents)('%s: each fenced block has a language, and only sh is for a shell', (path) => {
    const blocks = listBlocks(readDocument(path));
    const unknown = blocks.filter(({ language }) => !knownLanguages.includes(language));
    expect(unknown.map(({ line, language }) => `line ${line}: "${language}"`)).toEqual([]);
    const disguised = blocks.filter(({ language, text }) => language === 'text' && listCommands(text).length > 0);
    expect(disguised.map(({ line }) => `line ${line}: commands belong into a block with the language sh`)).toEqual([]);
  });

  it.each(documents)('%s: a test runs each command in prose too', (path) => {
    const notRun = listProseCommands(readDocument(path)).filter(
      (command) => !isRunElsewhere(command) && !isCovered(subjectOf(command), commandsRun),
    );
    expect(notRun).toEqual([]);
  });
});

describe('commands that are run elsewhere', () => {
  it.each(commandsRunElsewhere)('$command is in a document, and its test exists', (entry) => {
    const all = documents.flatMap((path) => {
      const page = readDocument(path);
      return [...listProseCommands(page), ...listShellBlocks(page).flatMap(({ text }) => listCommands(text))];
    });
    expect(all.some((command) => entry.command.test(command))).toBe(true);
    if ('test' in entry) expect(existsSync(join(import.meta.dirname, '..', '..', entry.test)), entry.test).toBe(true);
    else expect(entry.notRun).not.toBe('');
  });
});

describe('the search for commands', () => {
  const page = [
    'Say `npm run -s ops -- lag --json`, `ops keys create NAME`, `node a/b.ts DIR`, and not `lag`.',
    '```sh refused',
    '# a comment with npm test',
    'export KEY=$(npm run -s ops -- keys create me --scopes read)',
    'curl -X POST "$URL/v1/x" -d \'{',
    '  "a": 1}\'  # why',
    'head < <(A=1 node x.ts | python3 -m json.tool)',
    '```',
    '',
    '```text',
    'printed `ops lag`',
    '```',
    'words',
    '```json',
    '{}',
    '```',
  ].join('\n');

  it('finds blocks, their words and the output that follows at once', () => {
    const [block, ...others] = listShellBlocks(page);
    expect(others).toEqual([]);
    expect(block).toMatchObject({
      line: 2,
      words: ['refused'],
      output: { language: 'text', text: 'printed `ops lag`' },
    });
    expect(() => listBlocks('```sh\nlag')).toThrow('line 1: this fence is not closed');
  });

  it('finds the commands of a block and those in prose', () => {
    expect(listCommands(listShellBlocks(page)[0]!.text)).toEqual([
      'npm run -s ops -- keys create me --scopes read',
      'curl -X POST "$URL/v1/x" -d \'{',
      'node x.ts | python3 -m json.tool',
    ]);
    expect(listProseCommands(page)).toEqual([
      'npm run -s ops -- lag --json',
      'ops keys create NAME',
      'node a/b.ts DIR',
    ]);
  });

  it('compares commands by what they are about', () => {
    expect(subjectOf('npm run -s ops -- lag --json')).toBe('ops lag');
    expect(subjectOf('node ops/main.ts keys create NAME')).toBe('ops keys create');
    expect(subjectOf('npm run -s status -- --env')).toBe('npm run status');
    expect(subjectOf('npx node a/b.ts DIR')).toBe('node a/b.ts');
    expect(isCovered('ops keys', ['npm run -s ops -- keys create me'])).toBe(true);
    expect(isCovered('ops keys revoke', ['npm run -s ops -- keys create me'])).toBe(false);
    expect(isCovered('ops key', ['npm run -s ops -- keys create me'])).toBe(false);
  });
});
