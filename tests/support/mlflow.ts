// A real MLflow server for tests, on the Postgres and the object store of the stack they run against.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Component, ComponentContext } from '#infra/local/component.ts';
import { mlflow } from '#infra/local/components/mlflow.ts';
import { readOrMakeCredentials } from '#infra/local/credentials.ts';
import { chooseFreePort } from '#infra/local/ports.ts';
import { withLock } from '#infra/local/process-lock.mjs';
import { createRunningComponent } from '#infra/local/running-component.ts';
import { stackConnection } from '#tests/support/stack.ts';

export type TestMlflow = { readonly url: string; stop(): Promise<void> };

/** The server of the stack when it runs with the profile `ml`, else one of this test's own. Models are shared: use fresh names. */
export async function startTestMlflow(): Promise<TestMlflow> {
  const { localDir, endpoints } = stackConnection();
  if (endpoints.mlflow !== undefined) return { url: endpoints.mlflow.url, stop: async () => {} };
  const dataDir = await mkdtemp(join(tmpdir(), 'trialstream-mlflow-'));
  const ports = {
    postgres: endpoints.postgres.port,
    objectStore: Number(new URL(endpoints.objectStore.endpoint).port),
    mlflow: await chooseFreePort(new Set()),
  };
  const context: ComponentContext = {
    localDir,
    dataDir,
    logDir: dataDir,
    ports,
    credentials: await readOrMakeCredentials(localDir),
    onProgress: () => {},
    java: () => Promise.reject(new Error('MLflow needs no Java')),
  };
  const server = createRunningComponent({
    component: mlflow as Component,
    context,
    onChange: () => {},
    onUnexpectedEnd: () => {},
  });
  // The first start makes the tables of the shared database: two at once would collide.
  await withLock(join(localDir, 'test-mlflow.lock'), () => server.start());
  return {
    url: mlflow.endpoint(context).url,
    stop: async () => {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
