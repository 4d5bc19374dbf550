// Tells one process from a later one with the same pid, and lets one process at a time do a job; plain JS, so that bootstrap.mjs can use it before npm ci.
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** When the process started, as text to compare; undefined when there is no such process (a zombie counts as none). */
export function findProcessStart(pid) {
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The name (field 2) may hold spaces and parentheses: count from the last one. State is field 3, start time field 22.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
      // Ticks since boot: without the boot id a pid of before a reboot could match.
      return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${fields[19]}`;
    } catch {
      return undefined;
    }
  }
  try {
    const [state, ...start] = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
      .trim()
      .split(/\s+/);
    return state === undefined || state.startsWith('Z') ? undefined : start.join(' ');
  } catch {
    return undefined;
  }
}

export function identifyProcess(pid) {
  const startedAt = findProcessStart(pid);
  return startedAt === undefined ? undefined : { pid, startedAt };
}

export function isAlive(identity) {
  return findProcessStart(identity.pid) === identity.startedAt;
}

/** The process that holds the lock; undefined when nobody does (or its holder is dead). */
export function findLockHolder(path) {
  try {
    const identity = JSON.parse(readFileSync(path, 'utf8'));
    return isAlive(identity) ? identity : undefined;
  } catch {
    return undefined;
  }
}

/** Takes the lock for this process, or returns undefined when a living process holds it. */
export function tryLock(path) {
  mkdirSync(dirname(path), { recursive: true });
  const own = `${path}.${process.pid}`;
  writeFileSync(own, JSON.stringify(identifyProcess(process.pid)));
  try {
    for (;;) {
      try {
        // link fails when the name exists, and the file is whole from its first moment.
        linkSync(own, path);
        return { release: () => rmSync(path, { force: true }) };
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      if (findLockHolder(path) !== undefined) return undefined;
      removeStaleLock(path, `${own}.stale`);
    }
  } finally {
    unlinkSync(own);
  }
}

// Between the look and the removal another process may have replaced the stale lock by its own: what was moved away is looked at again.
function removeStaleLock(path, aside) {
  try {
    renameSync(path, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return;
    throw error;
  }
  if (findLockHolder(aside) !== undefined) renameSync(aside, path);
  else rmSync(aside, { force: true });
}

/** Runs the work while holding the lock; waits for a living holder. */
export async function withLock(path, work) {
  for (;;) {
    const lock = tryLock(path);
    if (lock !== undefined) {
      try {
        return await work();
      } finally {
        lock.release();
      }
    }
    await delay(100);
  }
}
