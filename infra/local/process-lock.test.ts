// Tests that a lock belongs to one living process, and that a pid used again does not count as its former owner.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findLockHolder, findProcessStart, identifyProcess, isAlive, tryLock, withLock } from './process-lock.mjs';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'trialstream-lock-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('tells a process from an earlier one with the same pid', () => {
  const self = identifyProcess(process.pid);
  if (self === undefined) throw new Error('this process has no identity');
  expect(isAlive(self)).toBe(true);
  expect(isAlive({ ...self, startedAt: 'an earlier time' })).toBe(false);
});

test('a process that has ended is not alive', async () => {
  const child = spawn('sleep', ['30']);
  await once(child, 'spawn');
  const identity = identifyProcess(child.pid ?? 0);
  if (identity === undefined) throw new Error('the child has no identity');
  expect(isAlive(identity)).toBe(true);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(isAlive(identity)).toBe(false);
  expect(findProcessStart(identity.pid)).toBeUndefined();
});

test('refuses a lock that a living process holds, and gives it again after its release', () => {
  const path = join(dir, 'lock');
  const lock = tryLock(path);
  expect(lock).toBeDefined();
  expect(tryLock(path)).toBeUndefined();
  expect(findLockHolder(path)?.pid).toBe(process.pid);
  lock?.release();
  expect(findLockHolder(path)).toBeUndefined();
  expect(tryLock(path)).toBeDefined();
});

test.each([
  ['of a dead process', JSON.stringify({ pid: 2 ** 22 + 1, startedAt: 'x' })],
  ['of a pid that is used again', JSON.stringify({ pid: process.pid, startedAt: 'an earlier time' })],
  ['that is not readable', '{'],
])('takes over a lock file %s', (_, content) => {
  const path = join(dir, 'lock');
  writeFileSync(path, content);
  expect(tryLock(path)).toBeDefined();
  expect(findLockHolder(path)?.pid).toBe(process.pid);
});

test('runs one job at a time and releases the lock when a job fails', async () => {
  const path = join(dir, 'lock');
  const order: string[] = [];
  const job = (name: string) =>
    withLock(path, async () => {
      order.push(`${name} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`${name} ends`);
      if (name === 'first') throw new Error('first fails');
    });
  const results = await Promise.allSettled([job('first'), job('second')]);
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  expect(order).toEqual(['first begins', 'first ends', 'second begins', 'second ends']);
  expect(existsSync(path)).toBe(false);
});
