// Tests what counts as a running stack and what a dead one left.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listLeftovers } from './leftovers.ts';
import { identifyProcess, type ProcessIdentity } from './process-lock.mjs';
import {
  findStack,
  findStackFile,
  readStack,
  removeStackFile,
  type StackFile,
  stackFilePath,
  writeFileAtomically,
  writeStackFile,
} from './stack-file.ts';

let localDir: string;
beforeEach(() => {
  localDir = mkdtempSync(join(tmpdir(), 'trialstream-file-'));
});
afterEach(() => rmSync(localDir, { recursive: true, force: true }));

const gone: ProcessIdentity = { pid: process.pid, startedAt: 'an earlier time' };

function stackFile(changes: Partial<StackFile> = {}): StackFile {
  const supervisor = identifyProcess(process.pid);
  if (supervisor === undefined) throw new Error('this process has no identity');
  const entry = (name: string, pid: number | null) => ({
    process: pid === null ? null : { pid, startedAt: 'then' },
    address: '127.0.0.1:1',
    logPath: `${name}.log`,
  });
  return {
    phase: 'ready',
    startedAt: '2026-01-01T00:00:00.000Z',
    localDir,
    supervisor,
    ports: { kafka: 1 },
    endpoints: {
      kafka: { brokers: ['127.0.0.1:1'] },
      schemaRegistry: { url: 'http://127.0.0.1:1' },
      objectStore: {
        endpoint: 'http://127.0.0.1:1',
        region: 'us-east-1',
        accessKeyId: 'a',
        secretAccessKey: 's',
        objectStoreBucket: 'b',
      },
      postgres: {
        host: '127.0.0.1',
        port: 1,
        database: 'd',
        superuser: 'u',
        superuserPassword: 'p',
        superuserUrl: 'postgres://u:p@127.0.0.1:1/d',
      },
    },
    components: {
      kafka: entry('kafka', 11),
      schemaRegistry: entry('schemaRegistry', 12),
      objectStore: entry('objectStore', null),
      postgres: entry('postgres', 13),
    },
    ...changes,
  };
}

test('reads back what was written, in a file for its owner only', () => {
  const file = stackFile();
  writeStackFile(file);
  expect(readStack(localDir)).toEqual(file);
  expect(statSync(stackFilePath(localDir)).mode & 0o777).toBe(0o600);
});

test('names the command that starts a stack when none runs', () => {
  expect(findStack(localDir)).toBeNull();
  expect(() => readStack(localDir)).toThrow('npm run up');
});

test.each([
  ['the supervising process is dead', { supervisor: gone }],
  ['it is still starting', { phase: 'starting' }],
  ['it is stopping', { phase: 'stopping' }],
] as const)('does not count a stack as running when %s', (_, changes) => {
  writeStackFile(stackFile(changes));
  expect(findStack(localDir)).toBeNull();
  expect(findStackFile(localDir)).not.toBeNull();
});

test('says which file is broken', () => {
  writeFileSync(stackFilePath(localDir), '{');
  expect(() => findStackFile(localDir)).toThrow(stackFilePath(localDir));
});

test('forgets a stack whose file is removed', () => {
  writeStackFile(stackFile());
  removeStackFile(localDir);
  expect(findStackFile(localDir)).toBeNull();
});

test('counts as leftovers only the recorded programs that still run', () => {
  const running = new Set([11, 13, 99]);
  const leftovers = listLeftovers(stackFile(), ({ pid }) => running.has(pid));
  expect(leftovers.map(({ pid }) => pid).sort()).toEqual([11, 13]);
});

test('a file that is written by many at once holds what one of them wrote, and nothing unfinished stays', async () => {
  const path = join(localDir, 'secrets.json');
  const contents = Array.from({ length: 20 }, (_, index) => `${index}`.repeat(1_000));
  await Promise.all(contents.map((content) => writeFileAtomically(path, content)));
  expect(contents).toContain(readFileSync(path, 'utf8'));
  expect(readdirSync(localDir)).toEqual(['secrets.json']);
});
