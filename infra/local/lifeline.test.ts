// Tests that a program ends with the process that started it, however that process ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type ProgramSpec, runProgram, startProgram } from './lifeline.ts';
import { findProcessStart, identifyProcess, isAlive } from './process-lock.mjs';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'trialstream-lifeline-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const spec = (script: string, changes: Partial<ProgramSpec> = {}): ProgramSpec => ({
  file: 'sh',
  args: ['-c', script],
  env: { PATH: process.env.PATH ?? '' },
  cwd: dir,
  logPath: join(dir, 'log'),
  stopSignal: 'TERM',
  graceSeconds: 5,
  ...changes,
});
const readLog = () => readFileSync(join(dir, 'log'), 'utf8');
const untilLogHolds = (text: string) =>
  vi.waitFor(() => expect(readLog()).toContain(text), { timeout: 5_000, interval: 20 });

test('gives the pid of the program and the way it ended', async () => {
  const program = await startProgram(spec('echo "I am $$"; exit 7'));
  expect(await program.ended).toBe('exit code 7');
  expect(readLog()).toBe(`I am ${program.pid}\n`);
});

test('stops a program with the signal that it wants', async () => {
  // Not a shell: a shell whose parent ignored SIGINT may not trap it. Servers, like Node, install their own handler.
  const code =
    "process.on('SIGINT', () => { console.log('interrupted'); process.exit(); }); console.log('ready'); setInterval(() => {}, 1000);";
  const program = await startProgram(spec('', { file: process.execPath, args: ['--eval', code], stopSignal: 'INT' }));
  await untilLogHolds('ready');
  await program.stop();
  expect(readLog()).toBe('ready\ninterrupted\n');
  expect(await program.ended).toBe('exit code 0');
});

test('kills a program that does not stop within its grace', async () => {
  const program = await startProgram(
    spec('trap "" TERM; echo ready; while :; do sleep 0.05; done', { graceSeconds: 1 }),
  );
  await untilLogHolds('ready');
  await program.stop();
  expect(findProcessStart(program.pid)).toBeUndefined();
});

test('stops a program that is suspended', async () => {
  const program = await startProgram(spec('echo ready; exec sleep 60'));
  await untilLogHolds('ready');
  process.kill(program.pid, 'SIGSTOP');
  await program.stop();
  expect(findProcessStart(program.pid)).toBeUndefined();
});

test('ends with its starter when that is killed', async () => {
  const starter = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `import { startProgram } from ${JSON.stringify(new URL('lifeline.ts', import.meta.url).href)};
       const program = await startProgram(${JSON.stringify(spec('echo ready; exec sleep 60'))});
       console.log(program.pid);
       setInterval(() => {}, 1000);`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [output] = await once(starter.stdout, 'data');
  const program = identifyProcess(Number(String(output)));
  if (program === undefined) throw new Error('the program does not run');
  starter.kill('SIGKILL');
  await vi.waitFor(() => expect(isAlive(program)).toBe(false), { timeout: 5_000, interval: 20 });
});

test('says how a short program failed, with the end of its log', async () => {
  await expect(runProgram(spec('echo "disk is full"; exit 3'))).rejects.toThrow(/exit code 3[\s\S]*disk is full/);
  await runProgram(spec('touch done'));
  expect(existsSync(join(dir, 'done'))).toBe(true);
});
