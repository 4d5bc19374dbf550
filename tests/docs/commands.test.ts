// No document has a command that no test runs: blocks for a shell are run by tests/end-to-end/documents.test.ts, or named as run elsewhere.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commandsRunElsewhere, findElsewhere, isRunElsewhere } from './commands-run-elsewhere.ts';
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

/** Whether a test runs a command of the operators: its text has the words one after another, or the last as the first argument of a call. */
function isRunBy(test: string, subject: string): boolean {
  const [, ...words] = subject.split(' ');
  const last = words.pop()!;
  const before = words.length === 0 ? '' : `(?:${words.map((word) => `'${word}',\\s*`).join('')}|\\()`;
  return new RegExp(`${before}'${last}'`).test(test);
}

describe('commands that are run elsewhere', () => {
  const all = documents.flatMap((path) => {
    const page = readDocument(path);
    return [...listProseCommands(page), ...listShellBlocks(page).flatMap(({ text }) => listCommands(text))];
  });

  it.each(commandsRunElsewhere)('$command is in a document, and its test exists and runs it', (entry) => {
    // The first entry that matches is the one that counts.
    const commands = all.filter((command) => findElsewhere(command) === entry);
    expect(commands).not.toEqual([]);
    if ('notRun' in entry) return expect(entry.notRun).not.toBe('');
    const file = join(import.meta.dirname, '..', '..', entry.test);
    expect(existsSync(file), entry.test).toBe(true);
    const subjects = [...new Set(commands.map(subjectOf))].filter((subject) => subject.startsWith('ops '));
    expect(subjects.filter((subject) => !isRunBy(readFileSync(file, 'utf8'), subject))).toEqual([]);
  });

  it('are run when the test has their words in a call', () => {
    for (const test of ["ops('promote', 'start', key)", "promote('start')", "run([\n'promote',\n'start'])"])
      expect(isRunBy(test, 'ops promote start')).toBe(true);
    for (const test of ["ops('promote', 'status')", "['step', 'start']", "promote('restart')"])
      expect(isRunBy(test, 'ops promote start')).toBe(false);
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
