// Tests that the MLflow server of the profile `ml` keeps models in Postgres and their files in the object store.
import { randomBytes } from 'node:crypto';
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestMlflow, type TestMlflow } from '#tests/support/mlflow.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

let mlflow: TestMlflow;
// The first run installs the Python packages.
beforeAll(async () => {
  mlflow = await startTestMlflow();
}, 600_000);
afterAll(() => mlflow?.stop());

test('a registered model is a row in the database of its own', async () => {
  const name = `stack-test-${randomBytes(4).toString('hex')}`;
  const response = await fetch(`${mlflow.url}/api/2.0/mlflow/registered-models/create`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name }),
  });
  expect(response.status, await response.text()).toBe(200);
  const address = new URL(stackEndpoints().postgres.superuserUrl);
  address.pathname = '/mlflow';
  const client = new pg.Client({ connectionString: address.toString() });
  await client.connect();
  const { rows } = await client.query('SELECT name FROM registered_models WHERE name = $1', [name]);
  await client.end();
  expect(rows).toEqual([{ name }]);
});

test('a file uploaded through the server lies in the object store and comes back whole', async () => {
  const key = `stack-test/${randomBytes(4).toString('hex')}.txt`;
  const url = `${mlflow.url}/api/2.0/mlflow-artifacts/artifacts/${key}`;
  const uploaded = await fetch(url, { method: 'PUT', body: 'weights' });
  expect(uploaded.status, await uploaded.text()).toBe(200);
  expect(await (await fetch(url)).text()).toBe('weights');

  const { objectStore } = stackEndpoints();
  const s3 = new S3Client({
    endpoint: objectStore.endpoint,
    region: objectStore.region,
    credentials: { accessKeyId: objectStore.accessKeyId, secretAccessKey: objectStore.secretAccessKey },
    forcePathStyle: true,
  });
  const listed = await s3.send(
    new ListObjectsV2Command({ Bucket: objectStore.objectStoreBucket, Prefix: `mlflow/${key}` }),
  );
  s3.destroy();
  expect(listed.Contents?.map(({ Size }) => Size)).toEqual([7]);
});

test('a request under a foreign host name is refused', async () => {
  const { hostname, port } = new URL(mlflow.url);
  const { request } = await import('node:http');
  const status = await new Promise<number | undefined>((resolve, reject) => {
    request({ hostname, port, path: '/api/2.0/mlflow/registered-models/search', headers: { host: 'evil.example' } })
      .on('response', (response) => {
        response.resume();
        resolve(response.statusCode);
      })
      .on('error', reject)
      .end();
  });
  expect(status).toBe(403);
});
