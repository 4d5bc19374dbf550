// Python virtual environments with exactly the packages of hashed requirements files, one per content, in the shared cache.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runProgram } from './lifeline.ts';
import { cacheDir, repositoryRoot } from './local-dir.ts';
import { withLock } from './process-lock.mjs';
import { StackError } from './stack-error.ts';

export type PythonPackages = {
  /** What people see while it is installed. */
  readonly title: string;
  /** Requirements files below the repository's root, with hashes and without anything left to resolve. */
  readonly files: readonly string[];
};

const installer: PythonPackages = { title: 'the installer uv', files: ['infra/local/python/requirements-uv.txt'] };
const logPath = join(cacheDir, 'python.log');
const execute = promisify(execFile);

/** The folder of the environment; made when absent or when a file changed. Programs are in its `bin`. */
export async function ensurePythonEnvironment(
  packages: PythonPackages,
  onProgress: (text: string) => void = () => {},
): Promise<string> {
  return ensureEnvironment(packages, onProgress, async (folder) => {
    const uv = join(await ensureEnvironment(installer, onProgress, installWithPip), 'bin', 'uv');
    await installWithUv(uv, folder, packages.files);
  });
}

/** Where the environment is, or null while it has not been installed. */
export async function findPythonEnvironment(packages: PythonPackages): Promise<string | null> {
  const folder = await folderOf(packages);
  return existsSync(join(folder, 'complete')) ? folder : null;
}

async function folderOf({ files }: PythonPackages): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) hash.update(await readFile(join(repositoryRoot, file)));
  return join(cacheDir, `python-${hash.digest('hex').slice(0, 12)}`);
}

async function ensureEnvironment(
  packages: PythonPackages,
  onProgress: (text: string) => void,
  install: (folder: string, files: readonly string[]) => Promise<void>,
): Promise<string> {
  // Not renamed when it is whole, as the scripts of a virtual environment contain its path: a stamp says that it is.
  const folder = await folderOf(packages);
  const stamp = join(folder, 'complete');
  if (existsSync(stamp)) return folder;
  await mkdir(cacheDir, { recursive: true });
  await withLock(`${folder}.lock`, async () => {
    if (existsSync(stamp)) return;
    onProgress(`installing the Python packages of ${packages.title} (once)`);
    await rm(folder, { recursive: true, force: true });
    try {
      await install(folder, packages.files);
    } catch (error) {
      throw new StackError(
        `The Python packages of ${packages.title} could not be installed (Python 3.11 or later with venv, and the network, once). ${(error as Error).message}`,
        { cause: error },
      );
    }
    await writeFile(stamp, '');
  });
  return folder;
}

const run = async (file: string, args: readonly string[], env: Record<string, string>) =>
  runProgram({ file, args, env, cwd: repositoryRoot, logPath });

/** pip's own settings apply: its index, its proxy, its certificates. */
const ownEnvironment = (): Record<string, string> =>
  Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => !!entry[1]));

async function installWithPip(folder: string, [file = '']: readonly string[] = installer.files): Promise<void> {
  await run('python3', ['-m', 'venv', folder], ownEnvironment());
  await run(
    join(folder, 'bin', 'python'),
    [
      ...['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--require-hashes'],
      ...['--only-binary', ':all:', '--requirement', join(repositoryRoot, file)],
    ],
    ownEnvironment(),
  );
}

/** Several times faster than pip: it downloads and compiles on all cores. */
async function installWithUv(uv: string, folder: string, files: readonly string[]): Promise<void> {
  const env = { ...ownEnvironment(), ...(await toUvSettings()), UV_NO_CACHE: '1' };
  await run(uv, ['venv', '--quiet', '--python', 'python3', folder], env);
  await run(
    uv,
    [
      ...['pip', 'install', '--quiet', '--python', join(folder, 'bin', 'python')],
      // The files name every package: nothing is resolved, so what a file leaves out stays out.
      ...['--no-deps', '--require-hashes', '--only-binary', ':all:'],
      // Compiled here, once, instead of at every first import.
      '--compile-bytecode',
      ...files.flatMap((file) => ['--requirement', join(repositoryRoot, file)]),
    ],
    env,
  );
}

/** pip's settings under uv's names, where uv has none of its own. */
async function toUvSettings(): Promise<Record<string, string>> {
  const settings: Record<string, string> = {};
  const index = process.env.PIP_INDEX_URL ?? (await readPipSetting('global.index-url'));
  const certificates = process.env.PIP_CERT ?? (await readPipSetting('global.cert'));
  if (index !== undefined && process.env.UV_DEFAULT_INDEX === undefined) settings.UV_DEFAULT_INDEX = index;
  if (certificates !== undefined && process.env.SSL_CERT_FILE === undefined) settings.SSL_CERT_FILE = certificates;
  return settings;
}

async function readPipSetting(name: string): Promise<string | undefined> {
  try {
    return (await execute('python3', ['-m', 'pip', 'config', 'get', name])).stdout.trim() || undefined;
  } catch {
    // pip answers a setting that is not there as a failure.
    return undefined;
  }
}
