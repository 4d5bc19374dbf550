// The training code as part of npm test: it installs its own environment, then strict types, unit tests, and whole runs on real MLflow.
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ensurePythonEnvironment } from '#infra/local/python-environment.ts';
import { trainingPackages } from '#infra/local/python-packages.ts';
import { startTestMlflow, type TestMlflow } from '#tests/support/mlflow.ts';

// A cold installation is a download of 1.8 GB; the checks take seconds of work each, and more on a busy machine.
const installTimeoutMs = 1_200_000;
const checkTimeoutMs = 900_000;

let bin: string;
let mlflow: TestMlflow;

beforeAll(async () => {
  [bin, mlflow] = await Promise.all([
    ensurePythonEnvironment(trainingPackages).then((folder) => join(folder, 'bin')),
    startTestMlflow(),
  ]);
}, installTimeoutMs);
afterAll(() => mlflow?.stop());

async function run(program: string, args: readonly string[]): Promise<{ exitCode: number | null; output: string }> {
  const child = spawn(resolve(bin, program), args, {
    cwd: import.meta.dirname,
    // One thread: many times faster for small models on a busy machine.
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '/', OMP_NUM_THREADS: '1', MLFLOW_URL: mlflow.url },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const exitCode = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { exitCode, output };
}

test('npm run train finds its environment and says in one sentence what is wrong', {
  timeout: checkTimeoutMs,
}, async () => {
  const train = join(import.meta.dirname, '..', 'infra', 'system', 'train.ts');
  expect(await run(process.execPath, [train, '--dataset', 'nothing'])).toEqual({
    exitCode: 1,
    output: 'train_planner: nothing is no folder, no s3:// address and no dataset version (64 hex digits)\n',
  });
});

test.each([
  ['has strict types', 'mypy', ['--no-incremental', '--cache-dir=/dev/null']],
  ['passes its unit tests', 'python', ['-m', 'pytest', 'tests']],
  ['trains, registers, resumes and refuses on real MLflow', 'python', ['-m', 'pytest', 'integration']],
])('the Python code %s', { timeout: checkTimeoutMs }, async (_, program, args) => {
  const { exitCode, output } = await run(program, args);
  expect(exitCode, output).toBe(0);
});
