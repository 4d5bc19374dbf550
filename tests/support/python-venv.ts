// Python packages for tests that let Python judge our files: one virtual environment per requirements file, kept in the cache.
import { execFile } from 'node:child_process';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { repositoryRoot } from '#infra/local/local-dir.ts';
import { ensurePythonEnvironment } from '#infra/local/python-environment.ts';

const run = promisify(execFile);

/** The Python interpreter of an environment with exactly the packages of `tests/support/python/<name>`. */
export const pythonWith = (name: string): Promise<string> =>
  pythonOf(fileURLToPath(new URL(`python/${name}`, import.meta.url)));

/** The Python interpreter of an environment with exactly the packages of a file of hashed requirements. */
export async function pythonOf(requirements: string): Promise<string> {
  const files = [relative(repositoryRoot, requirements)];
  return join(await ensurePythonEnvironment({ title: basename(requirements), files }), 'bin', 'python');
}

/** Runs a script with JSON as its standard input and parses what it prints. */
export async function runPython<T>(python: string, script: string, input: unknown): Promise<T> {
  const child = run(python, ['-c', script], { maxBuffer: 64 * 1024 * 1024 });
  child.child.stdin?.end(JSON.stringify(input));
  return JSON.parse((await child).stdout) as T;
}
