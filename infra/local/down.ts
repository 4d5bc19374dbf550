// `npm run down`: stops the local stack; with --wipe its data too.
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { cleanUp } from './leftovers.ts';
import { defaultLocalDir } from './local-dir.ts';
import { findLockHolder, isAlive } from './process-lock.mjs';
import { removeStackData } from './stack-data.ts';
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

try {
  const { values } = parseArgs({ options: { wipe: { type: 'boolean', default: false } } });
  const localDir = defaultLocalDir();
  const wasRunning = await stopSupervisor(localDir);
  const isCleanedUp = await cleanUp(localDir, async () => {
    if (values.wipe) await removeStackData(localDir);
  });
  if (!isCleanedUp) throw new StackError(`Another process has just started a stack in ${localDir}.`);
  console.log(`${wasRunning ? 'Stopped' : 'Nothing was running'}.${values.wipe ? ' Its data is removed.' : ''}`);
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
