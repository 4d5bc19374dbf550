// `ops dataset` as a person runs it, on real Postgres, S3 and MLflow: build, list, show, diff, and what it says when it cannot.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { objectStoreEnvironment } from '#infra/system/environment.ts';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createTracking } from '#platform/mlflow/tracking.ts';
import { runTraffic, sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';
import { writeDomainRows } from '#producers/planner-traffic/write-domain-rows.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { startTestMlflow, type TestMlflow } from '#tests/support/mlflow.ts';
import { createOwnBucket, type OwnBucket } from '#tests/support/own-bucket.ts';
import { writeTrainingRows } from '#tests/support/training-rows.ts';

const main = join(import.meta.dirname, '..', 'main.ts');
const world = sampleWorld({ households: 30, seed: 1 + Math.floor(Math.random() * 1_000_000) });

let database: TestDatabase;
let mlflow: TestMlflow;
let bucket: OwnBucket;
let environment: Record<string, string>;

beforeAll(async () => {
  [database, mlflow, bucket] = await Promise.all([createTestDatabase(), startTestMlflow(), createOwnBucket()]);
  environment = {
    PATH: process.env.PATH ?? '',
    POSTGRES_URL: database.urlAs('dataset_builder'),
    ...objectStoreEnvironment({ objectStore: bucket.endpoints }),
    MLFLOW_URL: mlflow.url,
  };
  await writeDomainRows(database.pool, world.rows);
  await writeTrainingRows(database.pool, runTraffic({ world }));
}, 600_000);

afterAll(async () => {
  await bucket.remove();
  await mlflow.stop();
  await database.drop();
});

async function ops(args: readonly string[], settings: Record<string, string> = {}) {
  const child = spawn(process.execPath, [main, ...args], { env: { ...environment, ...settings } });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  const exitCode = await new Promise((resolve) => child.on('close', resolve));
  return { exitCode, stdout, stderr };
}

// Many short processes: generous, because a busy machine takes seconds to start each.
const timeoutMs = 300_000;

test('builds, logs to MLflow, finds the same dataset again, and compares two of them', {
  timeout: timeoutMs,
}, async () => {
  const cutoff = ['--label-cutoff', '2026-03-01'];
  const first = await ops(['dataset', 'build', 'planner', ...cutoff, '--json']);
  expect(first).toMatchObject({ exitCode: 0, stderr: '' });
  const built = JSON.parse(first.stdout);
  expect(built).toMatchObject({ alreadyExisted: false, mlflowRunId: expect.any(String) });
  expect(JSON.parse((await ops(['dataset', 'build', 'planner', ...cutoff, '--json'])).stdout)).toEqual({
    ...built,
    alreadyExisted: true,
  });

  const run = await createTracking(createMlflowClient({ url: mlflow.url })).findRun(built.mlflowRunId);
  expect(run).toMatchObject({
    status: 'FINISHED',
    tags: {
      dataset_version: built.datasetVersion,
      dataset_address: `s3://${environment.S3_BUCKET}/${built.objectKey.replace('/training.parquet', '')}`,
    },
    metrics: { rows: built.rowCount },
    datasets: [{ digest: built.datasetVersion.slice(0, 36) }],
  });

  const shorter = await ops(['dataset', 'build', 'planner', ...cutoff, '--from', '2026-01-08', '--to', '2026-01-20']);
  expect(shorter.exitCode).toBe(0);
  const [, other = ''] = /^dataset ([0-9a-f]{64}) is built$/m.exec(shorter.stdout) ?? [];
  const difference = await ops(['dataset', 'diff', built.datasetVersion.slice(0, 10), other.slice(0, 10)]);
  expect(difference.stdout).toMatch(/^rows +\d+ +\d+$/m);
  expect(difference.stdout).toMatch(/^training: sha256/m);
  expect((await ops(['dataset', 'diff', other, other])).stdout).toBe('the datasets are the same\n');

  const shown = await ops(['dataset', 'show', built.datasetVersion.slice(0, 8)]);
  expect(shown.stdout).toContain(`dataset ${built.datasetVersion}`);
  expect(shown.stdout).toMatch(/^test: hard rules that targets break/m);
  const listed = JSON.parse((await ops(['dataset', 'list', '--json'])).stdout);
  expect(listed.datasets.map((entry: { datasetVersion: string }) => entry.datasetVersion)).toEqual([
    other,
    built.datasetVersion,
  ]);
});

test('says what is wrong with a version, with a time and with the settings', { timeout: timeoutMs }, async () => {
  expect(await ops(['dataset', 'show', 'abcd'])).toMatchObject({
    exitCode: 1,
    stderr: 'ops: there is no dataset version abcd: `ops dataset list` shows them\n',
  });
  expect((await ops(['dataset', 'show', 'planner'])).stderr).toContain('planner is no dataset version');
  expect((await ops(['dataset', 'build', 'planner', '--from', 'yesterday'])).stderr).toContain(
    'expected a time with its zone',
  );
  const bad = await ops(['dataset', 'build', 'planner'], { S3_REGION: '' });
  expect(bad.exitCode).toBe(1);
  expect(bad.stderr).toContain('S3_REGION: received nothing');
});
