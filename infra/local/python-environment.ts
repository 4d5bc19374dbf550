// Python virtual environments with exactly the packages of a hashed requirements file, one per content, in the shared cache.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from './lifeline.ts';
import { cacheDir, repositoryRoot } from './local-dir.ts';
import { withLock } from './process-lock.mjs';
import { StackError } from './stack-error.ts';

const requirementsDir = join(repositoryRoot, 'infra', 'local', 'python');

/** The folder of the environment of `infra/local/python/<file>`; made when absent or when the file changed. Programs are in its `bin`. */
export async function ensurePythonEnvironment(
  requirementsFile: string,
  onProgress: (text: string) => void = () => {},
): Promise<string> {
  const requirements = join(requirementsDir, requirementsFile);
  const digest = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
    .slice(0, 12);
  // Not renamed when it is whole, as the scripts of a virtual environment contain its path: a stamp says that it is.
  const folder = join(cacheDir, `python-${digest}`);
  const stamp = join(folder, 'complete');
  if (existsSync(stamp)) return folder;
  await mkdir(cacheDir, { recursive: true });
  await withLock(join(cacheDir, `python-${digest}.lock`), async () => {
    if (existsSync(stamp)) return;
    onProgress(`installing the Python packages of ${requirementsFile} (once, two minutes and about 900 MB)`);
    await install(folder, requirements);
    await writeFile(stamp, '');
  });
  return folder;
}

async function install(folder: string, requirements: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const logPath = join(cacheDir, 'python.log');
  // pip's own settings: its index, its proxy, its certificates.
  const env = Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => !!entry[1]));
  const run = (file: string, args: readonly string[]) => runProgram({ file, args, env, cwd: repositoryRoot, logPath });
  try {
    await run('python3', ['-m', 'venv', folder]);
    await run(join(folder, 'bin', 'python'), [
      ...['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--require-hashes'],
      // Compiled here, once, instead of at every first import.
      ...['--only-binary', ':all:', '--compile', '--requirement', requirements],
    ]);
  } catch (error) {
    throw new StackError(
      `The Python packages could not be installed (Python 3.11 or later with venv, and the network, once). ${(error as Error).message}`,
      { cause: error },
    );
  }
}
