// A component of the local stack for tests: that of the stack when it runs there, else one of the test's own beside it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Component, ComponentContext } from '#infra/local/component.ts';
import { readOrMakeCredentials } from '#infra/local/credentials.ts';
import { chooseFreePort } from '#infra/local/ports.ts';
import { createRunningComponent } from '#infra/local/running-component.ts';
import { stackConnection } from '#tests/support/stack.ts';

export type OwnComponent<Endpoint> = {
  readonly endpoint: Endpoint;
  /** As often as a test likes, after `stop`. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Stops it and removes its data. */
  [Symbol.asyncDispose](): Promise<void>;
};

/** Not started yet. It finds Postgres and the object store where the stack has them. */
export async function createOwnComponent<Endpoint extends object>(
  component: Component<string, Endpoint>,
): Promise<OwnComponent<Endpoint>> {
  const { localDir, endpoints } = stackConnection();
  const dataDir = await mkdtemp(join(tmpdir(), `trialstream-${component.name}-`));
  const context: ComponentContext = {
    localDir,
    dataDir,
    logDir: dataDir,
    ports: {
      postgres: endpoints.postgres.port,
      objectStore: Number(new URL(endpoints.objectStore.endpoint).port),
      [component.name]: await chooseFreePort(new Set()),
    },
    credentials: await readOrMakeCredentials(localDir),
    onProgress: () => {},
    java: () => Promise.reject(new Error(`${component.title} needs no Java`)),
  };
  const server = createRunningComponent({
    component: component as Component,
    context,
    onChange: () => {},
    onUnexpectedEnd: () => {},
  });
  return {
    endpoint: component.endpoint(context),
    start: () => server.start(),
    stop: () => server.stop(),
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
