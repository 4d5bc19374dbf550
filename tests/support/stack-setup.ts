// Vitest global setup: gives integration tests the running local stack, or starts one for this run and stops it at the end.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { postgresFallbackDir } from '#infra/local/local-dir.ts';
import { type LocalStack, startLocalStack } from '#infra/local/stack.ts';
import { findStack } from '#infra/local/stack-file.ts';
import { checkComponents } from '#infra/local/status-report.ts';
import type { StackConnection } from './stack.ts';

declare module 'vitest' {
  interface ProvidedContext {
    stack: StackConnection;
  }
}

type SharedStack = { readonly connection: StackConnection; readonly end: () => Promise<void> };

// Several projects of one run share this file, and Vitest calls it once for each.
let shared: Promise<SharedStack> | undefined;
let userCount = 0;

/** A stack that cannot start fails the run: there are no skipped integration tests. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  userCount += 1;
  shared ??= useOrStartStack();
  const { connection, end } = await shared;
  project.provide('stack', connection);
  return async () => {
    userCount -= 1;
    if (userCount > 0) return;
    shared = undefined;
    await end();
  };
}

async function useOrStartStack(): Promise<SharedStack> {
  const running = findStack();
  if (running !== null) {
    const unhealthy = (await checkComponents(running)).filter(({ state }) => state !== 'healthy');
    if (unhealthy.length === 0) {
      return { connection: { localDir: running.localDir, endpoints: running.endpoints }, end: async () => {} };
    }
    const names = unhealthy.map(({ component, state }) => `${component} is ${state}`).join(', ');
    process.stderr.write(`The stack in ${running.localDir} is not used: ${names}. Starting another.\n`);
  }
  const { stack, end } = await startTemporaryStack();
  return { connection: { localDir: stack.localDir, endpoints: stack.endpoints }, end };
}

async function startTemporaryStack(): Promise<{ stack: LocalStack; end: () => Promise<void> }> {
  const localDir = await mkdtemp(join(tmpdir(), 'trialstream-test-'));
  const removeData = async () => {
    await rm(localDir, { recursive: true, force: true });
    await rm(postgresFallbackDir(localDir), { recursive: true, force: true });
  };
  try {
    const stack = await startLocalStack({
      localDir,
      ports: 'free',
      onProgress: (text) => void process.stderr.write(`local stack: ${text}\n`),
    });
    return {
      stack,
      end: async () => {
        await stack.stop();
        await removeData();
      },
    };
  } catch (error) {
    // The folder stays: the message names the log in it.
    throw new Error(`The local stack for these tests did not start: ${(error as Error).message}`, { cause: error });
  }
}
