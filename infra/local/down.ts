// `npm run down`: stops the local stack; with --wipe its data too.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Component } from './component.ts';
import { components } from './components.ts';
import { endLeftovers } from './leftovers.ts';
import { defaultLocalDir } from './local-dir.ts';
import { findLockHolder, isAlive, tryLock } from './process-lock.mjs';
import { describeError, StackError } from './stack-error.ts';
import { supervisorLockPath } from './stack-file.ts';

const stopDeadlineMs = 90_000;

async function stopSupervisor(localDir: string): Promise<boolean> {
  const holder = findLockHolder(supervisorLockPath(localDir));
  if (holder === undefined) return false;
  process.kill(holder.pid, 'SIGTERM');
  const deadline = Date.now() + stopDeadlineMs;
  while (isAlive(holder)) {
    if (Date.now() > deadline) {
      throw new StackError(
        `The supervising process ${holder.pid} did not stop within ${stopDeadlineMs / 1000} s: see ${join(localDir, 'logs')}.`,
      );
    }
    await delay(50);
  }
  return true;
}

async function wipe(localDir: string): Promise<void> {
  for (const component of components as readonly Component[]) {
    const folders = [join(localDir, component.name), ...(component.foldersElsewhere?.(localDir) ?? [])];
    for (const folder of folders) await rm(folder, { recursive: true, force: true });
  }
  // Passwords belong to the data they open.
  await rm(join(localDir, 'credentials.json'), { force: true });
  await rm(join(localDir, 'logs'), { recursive: true, force: true });
}

try {
  const { values } = parseArgs({ options: { wipe: { type: 'boolean', default: false } } });
  const localDir = defaultLocalDir();
  const wasRunning = await stopSupervisor(localDir);
  const lock = tryLock(supervisorLockPath(localDir));
  if (lock === undefined) throw new StackError(`Another process has just started a stack in ${localDir}.`);
  try {
    await endLeftovers(localDir, console.log);
    if (values.wipe) await wipe(localDir);
  } finally {
    lock.release();
  }
  console.log(`${wasRunning ? 'Stopped' : 'Nothing was running'}.${values.wipe ? ' Its data is removed.' : ''}`);
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
