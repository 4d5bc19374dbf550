// Python packages for tests that let Python judge our files: one virtual environment per requirements file, kept in the cache.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheDir } from '#infra/local/local-dir.ts';
import { withLock } from '#infra/local/process-lock.mjs';

const run = promisify(execFile);

/** The Python interpreter of an environment with exactly the packages of `tests/support/python/<name>`. */
export const pythonWith = (name: string): Promise<string> =>
  pythonOf(fileURLToPath(new URL(`python/${name}`, import.meta.url)));

/** The Python interpreter of an environment with exactly the packages of a file of hashed requirements. */
export async function pythonOf(requirements: string): Promise<string> {
  const digest = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
    .slice(0, 12);
  const folder = join(cacheDir, `python-${digest}`);
  const python = join(folder, 'bin', 'python');
  const stamp = join(folder, 'complete');
  await mkdir(cacheDir, { recursive: true });
  await withLock(join(cacheDir, `python-${digest}.lock`), async () => {
    if (existsSync(stamp)) return;
    await rm(folder, { recursive: true, force: true });
    await run('python3', ['-m', 'venv', folder]);
    await run(python, [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      '--require-hashes',
      '--only-binary',
      ':all:',
      '-r',
      requirements,
    ]);
    await writeFile(stamp, '');
  });
  return python;
}

/** Runs a script with JSON as its standard input and parses what it prints. */
export async function runPython<T>(python: string, script: string, input: unknown): Promise<T> {
  const child = run(python, ['-c', script], { maxBuffer: 64 * 1024 * 1024 });
  child.child.stdin?.end(JSON.stringify(input));
  return JSON.parse((await child).stdout) as T;
}
