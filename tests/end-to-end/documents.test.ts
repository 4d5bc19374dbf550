// Runs the commands of every document as a reader would, on a system that `npm start -- --keep` left running, and compares what they
// print with what the page shows.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repositoryRoot } from '#infra/local/local-dir.ts';
import { removeStackData } from '#infra/local/stack-data.ts';
import { listShellBlocks, type ShellBlock } from '#tests/docs/document-commands.ts';
import { findOutputProblem } from '#tests/docs/output-match.ts';
import { listBlocksToRun, listDocuments, readDocument } from '#tests/docs/read-documents.ts';
import { listProcessesOf } from '#tests/support/processes-of-folder.ts';
import { runShellBlocks } from '#tests/support/shell-session.ts';

const quickstart = 'npm start -- --keep';
/** Before the pages: what a reader has who follows the README, with MLflow, and with experiments to work on. */
const preparation = [
  'npm run up -- --profile ml',
  quickstart,
  'npm run -s ops -- apply tests/docs/running-experiments.yml',
];
const timeoutMs = 280_000;

let localDir: string;
let quickstartOutput: string;
/** The host's programs: our own Node is not on a reader's PATH. */
const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.endsWith('node_modules/.bin'));
const shellOptions = () => ({
  cwd: repositoryRoot,
  env: {
    ...process.env,
    PATH: path.join(delimiter),
    TRIALSTREAM_LOCAL_DIR: localDir,
    OPS_ACTOR: 'ann',
    NODE_OPTIONS: '',
    VITEST: undefined,
  },
  timeoutMs,
});

beforeAll(async () => {
  localDir = await mkdtemp(join(tmpdir(), 'trialstream-documents-'));
  const blocks = preparation.map((text) => ({ text, isRefused: false }));
  const results = await runShellBlocks(blocks, shellOptions());
  const failed = results.findIndex(({ ok }) => !ok);
  if (failed !== -1)
    throw new Error(`${preparation[failed]} failed:\n${results[failed]!.stdout}\n${results[failed]!.stderr}`);
  quickstartOutput = results[preparation.indexOf(quickstart)]!.stdout;
});
afterAll(async () => {
  const [down] = await runShellBlocks([{ text: 'npm run down', isRefused: false }], shellOptions());
  expect(down?.stderr).toBe('');
  expect(listProcessesOf(localDir)).toEqual([]);
  await removeStackData(localDir);
  await rm(localDir, { recursive: true, force: true });
});

test('the quickstart of the README prints what the README shows', () => {
  const block = listShellBlocks(readDocument('README.md')).find(({ text }) => text === quickstart);
  expect(block?.output).toBeTruthy();
  expect(findOutputProblem(block!.output!, quickstartOutput) ?? '').toBe('');
});

/** Pages that show the same commands alike, without a variable or an output, need them to be run once. */
const seen = new Set<string>();
function isRepetition({ text, output, words }: ShellBlock): boolean {
  if (output !== null || words.length > 0 || text.includes('$')) return false;
  if (seen.has(text)) return true;
  seen.add(text);
  return false;
}

const documents = listDocuments().flatMap((path) => {
  const blocks = listBlocksToRun(path).filter((block) => !isRepetition(block));
  return blocks.length === 0 ? [] : [{ path, blocks }];
});

test.each(documents)('$path: its commands run and print what it says', async ({ path, blocks }) => {
  const toRun = blocks.map(({ text, words }) => ({ text, isRefused: words.includes('refused') }));
  const results = await runShellBlocks(toRun, shellOptions());
  const problems = blocks.flatMap((block, index) => {
    const result = results[index];
    const place = `${path}:${block.line}`;
    if (result === undefined) return [];
    if (!result.ok)
      return [`${place} failed\n${block.text}\n--- stdout\n${result.stdout}\n--- stderr\n${result.stderr}`];
    const problem = block.output === null ? null : findOutputProblem(block.output, result.stdout);
    return problem === null ? [] : [`${place}: ${problem}`];
  });
  expect(problems.join('\n\n')).toBe('');
});
