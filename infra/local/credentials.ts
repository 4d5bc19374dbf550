// The secrets of one local dir: random, made once, readable by their owner only.
import { randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Credentials } from './component.ts';
import { writeFileAtomically } from './stack-file.ts';

const secret = () => randomBytes(18).toString('hex');

/** Secrets that the file lacks are added, so that a component added later gets its own. */
export async function readOrMakeCredentials(localDir: string): Promise<Credentials> {
  const path = join(localDir, 'credentials.json');
  await mkdir(localDir, { recursive: true });
  const known = await readFile(path, 'utf8').then(
    (text) => JSON.parse(text) as Partial<Credentials>,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return {};
      throw error;
    },
  );
  const credentials: Credentials = {
    postgresPassword: secret(),
    registryPassword: secret(),
    objectStoreAccessKey: 'trialstream',
    objectStoreSecretKey: secret(),
    mlflowPassword: secret(),
    redisPassword: secret(),
    prefectPassword: secret(),
    ...known,
  };
  const isComplete = Object.keys(credentials).every((name) => name in known);
  if (!isComplete) await writeFileAtomically(path, `${JSON.stringify(credentials, null, 2)}\n`);
  return credentials;
}
