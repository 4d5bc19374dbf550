// A real MLflow server for tests, on the Postgres and the object store of the stack they run against.
import { join } from 'node:path';
import { mlflow } from '#infra/local/components/mlflow.ts';
import { withLock } from '#infra/local/process-lock.mjs';
import { createOwnComponent } from '#tests/support/own-component.ts';
import { stackConnection } from '#tests/support/stack.ts';

export type TestMlflow = { readonly url: string; stop(): Promise<void> };

/** The server of the stack when it runs with the profile `ml`, else one of this test's own. Models are shared: use fresh names. */
export async function startTestMlflow(): Promise<TestMlflow> {
  const { localDir, endpoints } = stackConnection();
  if (endpoints.mlflow !== undefined) return { url: endpoints.mlflow.url, stop: async () => {} };
  const server = await createOwnComponent(mlflow);
  // The first start makes the tables of the shared database: two at once would collide.
  await withLock(join(localDir, 'test-mlflow.lock'), server.start);
  return { url: server.endpoint.url, stop: () => server[Symbol.asyncDispose]() };
}
