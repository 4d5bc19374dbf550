// Ends what a dead supervising process left: its lifelines should have done it, so this waits for them and then makes sure.
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive, type ProcessIdentity, tryLock } from './process-lock.mjs';
import {
  type ComponentEntry,
  findStackFile,
  removeStackFile,
  type StackFile,
  supervisorLockPath,
} from './stack-file.ts';

const graceMs = 35_000;

/** The programs of the file that still run: the same pid alone is not enough. */
export function listLeftovers(
  file: Pick<StackFile, 'components'>,
  isRunning: (identity: ProcessIdentity) => boolean = isAlive,
): ProcessIdentity[] {
  return Object.values<ComponentEntry>(file.components).flatMap(({ process }) =>
    process !== null && isRunning(process) ? [process] : [],
  );
}

/** Cleans up and then runs the work, unless a living process has a stack in this folder: then it does nothing and says false. */
export async function cleanUp(localDir: string, work: () => Promise<void> = async () => {}): Promise<boolean> {
  const lock = tryLock(supervisorLockPath(localDir));
  if (lock === undefined) return false;
  try {
    await endLeftovers(localDir, () => {});
    await work();
  } finally {
    lock.release();
  }
  return true;
}

/** Call only while holding the supervisor lock: then the stack of the file has nobody who supervises it. */
export async function endLeftovers(localDir: string, onProgress: (text: string) => void): Promise<void> {
  const file = findStackFile(localDir);
  if (file === null) return;
  onProgress('cleaning up after a stack whose supervising process died');
  const deadline = Date.now() + graceMs;
  while (listLeftovers(file).length > 0 && Date.now() < deadline) await delay(100);
  for (const { pid } of listLeftovers(file)) process.kill(pid, 'SIGKILL');
  while (listLeftovers(file).length > 0) await delay(50);
  removeStackFile(localDir);
}
