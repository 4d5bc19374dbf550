// `npm run down`: stops the services and groups that were kept running, and then the local stack; with --wipe its data goes too.
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { findSystemFile } from '../system/system-file.ts';
import { cleanUp } from './leftovers.ts';
import { defaultLocalDir } from './local-dir.ts';
import { findLockHolder, isAlive, type ProcessIdentity } from './process-lock.mjs';
import { removeStackData } from './stack-data.ts';
import { describeError, StackError } from './stack-error.ts';
import { supervisorLockPath } from './stack-file.ts';

const stopDeadlineMs = 90_000;

async function stopProcess(identity: ProcessIdentity | undefined, localDir: string): Promise<boolean> {
  if (identity === undefined || !isAlive(identity)) return false;
  process.kill(identity.pid, 'SIGTERM');
  const deadline = Date.now() + stopDeadlineMs;
  while (isAlive(identity)) {
    if (Date.now() > deadline) {
      throw new StackError(
        `The supervising process ${identity.pid} did not stop within ${stopDeadlineMs / 1000} s: see ${join(localDir, 'logs')}.`,
      );
    }
    await delay(50);
  }
  return true;
}

try {
  const { values } = parseArgs({ options: { wipe: { type: 'boolean', default: false } } });
  const localDir = defaultLocalDir();
  // Services and groups first: they drain into a stack that is still there. Their keeper may hold the stack too.
  const hadSystem = await stopProcess(findSystemFile(localDir)?.keeper, localDir);
  const hadStack = await stopProcess(findLockHolder(supervisorLockPath(localDir)), localDir);
  const isCleanedUp = await cleanUp(localDir, async () => {
    if (values.wipe) await removeStackData(localDir);
  });
  if (!isCleanedUp) throw new StackError(`Another process has just started a stack in ${localDir}.`);
  console.log(
    `${hadSystem || hadStack ? 'Stopped' : 'Nothing was running'}.${values.wipe ? ' Its data is removed.' : ''}`,
  );
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
