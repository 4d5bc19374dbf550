// Tests of experiments, runs, files, model versions and stages against a real MLflow server with Postgres and S3 behind it.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestMlflow, type TestMlflow } from '#tests/support/mlflow.ts';
import { createMlflowClient, type MlflowClient } from './mlflow-client.ts';
import { createModelVersion } from './model-registration.ts';
import { createModelRegistry } from './model-registry.ts';
import { createModelStages } from './model-stages.ts';
import { createTracking, type Tracking } from './tracking.ts';

let mlflow: TestMlflow;
let client: MlflowClient;
let tracking: Tracking;
beforeAll(async () => {
  mlflow = await startTestMlflow();
  client = createMlflowClient({ url: mlflow.url });
  tracking = createTracking(client);
}, 600_000);
afterAll(() => mlflow?.stop());

const freshName = (title: string) => `${title} ${randomBytes(4).toString('hex')}`;

test('an experiment is made once, although several ask at the same moment', async () => {
  const name = freshName('experiment');
  const ids = await Promise.all([1, 2, 3, 4].map(() => tracking.ensureExperiment(name)));
  expect(new Set(ids).size).toBe(1);
});

test('a run keeps parameters, curves, tags and its dataset, however many there are', async () => {
  const experimentId = await tracking.ensureExperiment(freshName('runs'));
  const run = await tracking.createRun({ experimentId, name: 'a run', tags: { dataset_version: 'abc' } });
  const params = Object.fromEntries(Array.from({ length: 130 }, (_, index) => [`p${index}`, `${index}`]));
  const metrics = Array.from({ length: 1_200 }, (_, step) => ({ key: 'loss', value: 1 / (step + 1), step }));
  await tracking.logBatch(run.runId, { params, metrics, tags: { stage: 'trained' } });
  await tracking.logDataset(run.runId, {
    name: 'planner',
    digest: 'd'.repeat(64),
    source: 's3://bucket/folder',
    context: 'training',
  });
  await tracking.endRun(run.runId, 'FINISHED');

  expect(await tracking.findRun(run.runId)).toMatchObject({
    name: 'a run',
    status: 'FINISHED',
    params,
    metrics: { loss: 1 / 1_200 },
    tags: { dataset_version: 'abc', stage: 'trained' },
    datasets: [{ name: 'planner', digest: 'd'.repeat(36), source: 's3://bucket/folder' }],
  });
  const curve = await tracking.listMetric(run.runId, 'loss');
  expect(curve.map(({ step }) => step)).toEqual(metrics.map(({ step }) => step));
  expect(await tracking.findRun('0'.repeat(32))).toBeNull();
});

test('a search follows all pages', async () => {
  const experimentId = await tracking.ensureExperiment(freshName('search'));
  await Promise.all(
    [1, 2, 3].map((number) =>
      tracking.createRun({ experimentId, name: `run ${number}`, tags: { even: `${number % 2 === 0}` } }),
    ),
  );
  expect(await tracking.searchRuns({ experimentIds: [experimentId], pageSize: 2 })).toHaveLength(3);
  const even = await tracking.searchRuns({ experimentIds: [experimentId], filter: "tags.even = 'true'" });
  expect(even.map(({ name }) => name)).toEqual(['run 2']);
});

test('files of a run go through the server and come back whole', async () => {
  const experimentId = await tracking.ensureExperiment(freshName('files'));
  const run = await tracking.createRun({ experimentId, name: 'files' });
  const bytes = randomBytes(100_000);
  await tracking.uploadFile(run, 'model/adapter/weights.bin', bytes);
  await tracking.uploadFile(run, 'model/card.json', '{}');
  expect(await tracking.downloadFile(run, 'model/adapter/weights.bin')).toEqual(bytes);
  expect(await tracking.downloadFile(run, 'model/none')).toBeNull();
  expect(await tracking.listFiles(run, 'model')).toEqual([
    { name: 'adapter', isFolder: true, sizeBytes: expect.any(Number) },
    { name: 'card.json', isFolder: false, sizeBytes: 2 },
  ]);
  expect(await tracking.listFiles(run, 'no-folder')).toEqual([]);
});

test('the alias production and the tag stage stay equal through candidate, promotion, replacement and retirement', async () => {
  const name = freshName("o'model");
  const stages = createModelStages(client);
  const registry = createModelRegistry(client);
  const stagesByVersion = async () =>
    (await registry.listVersions(name))?.map(({ version, tags }) => [version, tags.stage]);
  for (const _ of [1, 2, 3]) {
    await createModelVersion(client, { modelName: name, source: 's3://test-models/none', tags: { stage: 'trained' } });
  }
  expect(await stages.findAlias(name, 'production')).toBeNull();
  await stages.markCandidate(name, 1);
  await stages.setProduction(name, 1);
  await stages.markCandidate(name, 2);
  await expect(stages.markCandidate(name, 1)).rejects.toThrow('is in production');
  await expect(stages.setProduction(name, 9)).rejects.toThrow('version 9 cannot be used');
  expect(await stages.findAlias(name, 'production')).toBe(1);
  await stages.setProduction(name, 2);
  expect(await stagesByVersion()).toEqual([
    [1, 'retired'],
    [2, 'production'],
    [3, 'trained'],
  ]);
  expect(await stages.findStageProblems(name)).toEqual([]);

  // What a crash between alias and tags leaves.
  await stages.setAlias(name, 'production', 3);
  expect(await stages.findStageProblems(name)).toEqual([
    `model ${name} version 2 has stage=production, and the alias production says retired`,
    `model ${name} version 3 has stage=trained, and the alias production says production`,
  ]);
  expect(await stages.repairStages(name)).toEqual([2, 3]);
  expect(await stages.findStageProblems(name)).toEqual([]);
  await stages.retireProduction(name);
  await stages.retireProduction(name);
  expect(await stages.findAlias(name, 'production')).toBeNull();
  expect((await stagesByVersion())?.at(-1)).toEqual([3, 'retired']);
});

test('what may be repeated is repeated while the server fails, and what may not is sent once', async () => {
  const received: string[] = [];
  const server = createServer((request, response) => {
    received.push(request.url ?? '');
    // The third request is answered.
    if (received.length % 3 === 0) response.writeHead(200).end('{"run":{"info":{},"data":{}}}');
    else response.writeHead(503).end('busy');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const failing = createTracking(createMlflowClient({ url, retryDelaysMs: [1, 1] }));
    await failing.findRun('a');
    expect(received).toHaveLength(3);
    await expect(failing.createRun({ experimentId: '1', name: 'a' })).rejects.toThrow('answered 503');
    expect(received).toHaveLength(4);
  } finally {
    server.close();
  }
});
