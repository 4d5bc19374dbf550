// Where the local stack keeps its files: data per local dir, downloads shared by all of them.
import { createHash } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repositoryRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Downloads; in the repository even when the data is elsewhere, so that each is fetched once. */
export const cacheDir = join(repositoryRoot, '.local', 'cache');

/** The folder of the stack that commands mean when they are not told another. */
export function defaultLocalDir(): string {
  const configured = process.env.TRIALSTREAM_LOCAL_DIR;
  return configured === undefined || configured === '' ? join(repositoryRoot, '.local') : resolve(configured);
}

/** Where Postgres's files go when its user cannot reach the local dir (Postgres refuses to run as root). */
export function postgresFallbackDir(localDir: string): string {
  const hash = createHash('sha256').update(resolve(localDir)).digest('hex').slice(0, 12);
  return join('/var/tmp', `trialstream-${hash}`);
}
