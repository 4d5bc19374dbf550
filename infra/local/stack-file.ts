// stack.json: what runs and where; written by the supervising process, read by everything that needs an address.
import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PerComponent, StackEndpoints } from './components.ts';
import { defaultLocalDir } from './local-dir.ts';
import { isAlive, type ProcessIdentity } from './process-lock.mjs';
import { StackError } from './stack-error.ts';

/** starting: some components may not be healthy yet; ready: all were; stopping: on the way down. */
export type StackPhase = 'starting' | 'ready' | 'stopping';

export type ComponentEntry = {
  /** The running program; null when it is stopped or has ended. */
  readonly process: ProcessIdentity | null;
  readonly address: string;
  readonly logPath: string;
};

export type StackFile = {
  readonly phase: StackPhase;
  readonly startedAt: string;
  readonly localDir: string;
  readonly supervisor: ProcessIdentity;
  readonly ports: Readonly<Record<string, number>>;
  readonly endpoints: StackEndpoints;
  readonly components: PerComponent<ComponentEntry>;
};

export const stackFilePath = (localDir: string) => join(localDir, 'stack.json');
export const supervisorLockPath = (localDir: string) => join(localDir, 'supervisor.lock');

/** What the file says, whether or not that still runs; null when there is none. */
export function findStackFile(localDir: string): StackFile | null {
  try {
    return JSON.parse(readFileSync(stackFilePath(localDir), 'utf8')) as StackFile;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new StackError(`${stackFilePath(localDir)} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** The running stack of this folder; null when there is none or its supervising process is dead. */
export function findStack(localDir: string = defaultLocalDir()): StackFile | null {
  const file = findStackFile(localDir);
  return file !== null && file.phase === 'ready' && isAlive(file.supervisor) ? file : null;
}

/** The running stack of this folder. @throws StackError with the command that starts one. */
export function readStack(localDir: string = defaultLocalDir()): StackFile {
  const stack = findStack(localDir);
  if (stack === null) throw new StackError(`No local stack is running in ${localDir}: start it with "npm run up".`);
  return stack;
}

export function writeStackFile(file: StackFile): void {
  const path = stackFilePath(file.localDir);
  // Synchronous, so that two updates from one process cannot overtake each other.
  writeFileSync(`${path}.new`, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function removeStackFile(localDir: string): void {
  rmSync(stackFilePath(localDir), { force: true });
}

/** Readers see the old content or the new, never a part; only the owner may read it. */
export async function writeFileAtomically(path: string, content: string): Promise<void> {
  // A name for each call: two of one process may write at once.
  const unfinished = `${path}.${randomUUID()}.new`;
  await writeFile(unfinished, content, { mode: 0o600 });
  await rename(unfinished, path);
}
