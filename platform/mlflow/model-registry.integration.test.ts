// Tests what the client says of model versions that exist, never existed or were deleted, against a real MLflow server.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FatalError, RetryableError } from '#platform/errors.ts';
import { startTestMlflow, type TestMlflow } from '#tests/support/mlflow.ts';
import { createMlflowClient, type MlflowClient } from './mlflow-client.ts';
import { createModelRegistry } from './model-registry.ts';

let mlflow: TestMlflow;
let client: MlflowClient;
beforeAll(async () => {
  mlflow = await startTestMlflow();
  client = createMlflowClient({ url: mlflow.url });
}, 600_000);
afterAll(() => mlflow?.stop());

async function registerModel(versionCount: number): Promise<string> {
  // A quote and a space: names are free text, and filters are quoted.
  const name = `o'model ${randomBytes(4).toString('hex')}`;
  await client.request({ method: 'POST', path: 'registered-models/create', body: { name } });
  for (let index = 0; index < versionCount; index += 1) {
    const body = {
      name,
      source: 's3://test-models/none',
      tags: [{ key: 'number', value: `${index + 1}` }],
    };
    const answer = await client.request({ method: 'POST', path: 'model-versions/create', body });
    expect(answer).toMatchObject({ ok: true });
  }
  return name;
}

test('a version that exists is ready, with its tags', async () => {
  const name = await registerModel(2);
  const registry = createModelRegistry(client);
  expect(await registry.lookUp(name, '2')).toEqual({
    state: 'ready',
    modelVersion: {
      name,
      version: 2,
      status: 'READY',
      source: 's3://test-models/none',
      runId: null,
      tags: { number: '2' },
    },
  });
  expect((await registry.listVersions(name))?.map(({ version }) => version)).toEqual([1, 2]);
});

test('a version or a model that never existed is missing, and the answer says what there is', async () => {
  const name = await registerModel(1);
  const registry = createModelRegistry(client);
  expect(await registry.lookUp(name, '7')).toEqual({
    state: 'missing',
    explanation: `it does not exist (or was deleted): model ${name} has version 1`,
  });
  expect(await registry.lookUp('no-such-model', '1')).toEqual({
    state: 'missing',
    explanation: 'there is no registered model no-such-model',
  });
});

test('a request that may not be repeated is answered although the server has closed what was idle', async () => {
  const name = await registerModel(1);
  // Longer than the server keeps an idle connection (5 s), and too busy to see that it is closed.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 7_000);
  const body = { name, source: 's3://test-models/none' };
  expect(await client.request({ method: 'POST', path: 'model-versions/create', body })).toMatchObject({ ok: true });
  expect(await createModelRegistry(client).listVersions(name)).toHaveLength(2);
});

test('a version with later ones that is gone was deleted', async () => {
  const name = await registerModel(2);
  await deleteVersion(name, '1');
  expect(await createModelRegistry(client).lookUp(name, '1')).toEqual({
    state: 'deleted',
    explanation: `it was deleted from the registry, where model ${name} has version 2`,
  });
});

async function deleteVersion(name: string, version: string): Promise<void> {
  const response = await fetch(`${mlflow.url}/api/2.0/mlflow/model-versions/delete`, {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, version }),
  });
  expect(response.status).toBe(200);
}

test('a server that is away is told from one that is no MLflow server and from one that fails', async () => {
  const away = createModelRegistry(createMlflowClient({ url: 'http://127.0.0.1:9' }));
  await expect(away.lookUp('a', '1')).rejects.toThrow(RetryableError);
  await expect(away.lookUp('a', '1')).rejects.toThrow('MLflow at http://127.0.0.1:9 cannot be reached');

  await using other = await startOtherServer();
  const registry = createModelRegistry(createMlflowClient({ url: other.url, timeoutMs: 300 }));
  other.answer = { status: 404, body: '<h1>nginx</h1>' };
  await expect(registry.lookUp('a', '1')).rejects.toThrow(FatalError);
  other.answer = { status: 200, body: '<h1>hello</h1>' };
  await expect(registry.lookUp('a', '1')).rejects.toThrow('does not answer JSON');
  other.answer = { status: 503, body: 'busy' };
  await expect(registry.lookUp('a', '1')).rejects.toThrow(RetryableError);
  other.answer = null;
  await expect(registry.lookUp('a', '1')).rejects.toThrow('cannot be reached');
});

type OtherServer = AsyncDisposable & { readonly url: string; answer: { status: number; body: string } | null };

/** Answers what it is told; null: it takes the request and never answers. */
async function startOtherServer(): Promise<OtherServer> {
  const server = createServer((_, response) => {
    if (state.answer === null) return;
    response.writeHead(state.answer.status).end(state.answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const state: OtherServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: null,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return state;
}
