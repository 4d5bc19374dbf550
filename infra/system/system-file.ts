// system.json: the processes that a keeper holds and where they listen.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { identifyProcess, isAlive, type ProcessIdentity } from '../local/process-lock.mjs';
import type { System } from './system.ts';

export type SystemFile = {
  readonly keeper: ProcessIdentity;
  /** Where the keeper takes orders, and the secret that they need. */
  readonly control: { readonly url: string; readonly token: string };
  readonly processes: Readonly<Record<string, { url: string; logPath: string }>>;
};

export const systemFilePath = (localDir: string): string => join(localDir, 'system.json');

export function writeSystemFile(localDir: string, system: System, control: SystemFile['control']): void {
  const keeper = identifyProcess(process.pid);
  if (keeper === undefined) throw new Error('cannot tell when this process started');
  const processes = Object.fromEntries(
    [...system.processes.values()].map(({ name, url, logPath }) => [name, { url, logPath }]),
  );
  const path = systemFilePath(localDir);
  writeFileSync(`${path}.new`, `${JSON.stringify({ keeper, control, processes } satisfies SystemFile, null, 2)}\n`, {
    mode: 0o600,
  });
  renameSync(`${path}.new`, path);
}

/** What a living keeper holds, or null. */
export function findSystemFile(localDir: string): SystemFile | null {
  try {
    const file = JSON.parse(readFileSync(systemFilePath(localDir), 'utf8')) as SystemFile;
    return isAlive(file.keeper) ? file : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
