// Vitest global setup: gives integration tests the running local stack, or starts one for this run and stops it at the end.
import type { TestProject } from 'vitest/node';
import { findStack } from '#infra/local/stack-file.ts';
import { checkComponents } from '#infra/local/status-report.ts';
import type { StackConnection } from './stack.ts';
import { startTemporaryStack } from './temporary-stack.ts';

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
  const stack = await startTemporaryStack((text) => void process.stderr.write(`local stack: ${text}\n`));
  return { connection: { localDir: stack.localDir, endpoints: stack.endpoints }, end: () => stack.stop() };
}
