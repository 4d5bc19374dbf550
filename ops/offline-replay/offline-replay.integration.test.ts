// `ops offline-replay` as a person runs it, on real Postgres, S3 and MLflow, with models that were really trained: one that learned, and one
// whose answers were shuffled and which the gate must stop.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { defaultTolerances } from '#domain/offline-evaluation/gate.ts';
import { ensurePythonEnvironment } from '#infra/local/python-environment.ts';
import { trainingPackages } from '#infra/local/python-packages.ts';
import { objectStoreEnvironment } from '#infra/system/environment.ts';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelRegistry } from '#platform/mlflow/model-registry.ts';
import { createTracking } from '#platform/mlflow/tracking.ts';
import { openScratchDatabase, quoteText } from '#platform/parquet/scratch-database.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { baselineModelName, registerBaseline } from '#producers/definition-store/register-baseline.ts';
import { runTraffic, sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';
import { writeDomainRows } from '#producers/planner-traffic/write-domain-rows.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { startTestMlflow, type TestMlflow } from '#tests/support/mlflow.ts';
import { createOwnBucket, type OwnBucket } from '#tests/support/own-bucket.ts';
import { writeTrainingRows } from '#tests/support/training-rows.ts';
import { type ReplayOptions, runReplay } from '#workers/offline-replay/run-replay.ts';

const root = join(import.meta.dirname, '..', '..');
const modelName = `planner-test-${randomBytes(4).toString('hex')}`;
const timeoutMs = 600_000;

let database: TestDatabase;
let mlflow: TestMlflow;
let bucket: OwnBucket;
let environment: Record<string, string>;
let folder: string;
let dataset: string;
let address: string;
/** Versions of the model: 1 learned, 2 was trained on shuffled answers. */
const [learned, shuffled] = [`${modelName}/1`, `${modelName}/2`];

async function run(program: string, args: readonly string[], settings: Record<string, string> = {}) {
  const child = spawn(program, args, { env: { ...environment, ...settings } });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  const exitCode = await new Promise((resolve) => child.on('close', resolve));
  return { exitCode, stdout, stderr };
}

const ops = (...args: string[]) => run(process.execPath, [join(root, 'ops', 'main.ts'), ...args]);

async function train(args: readonly string[]): Promise<void> {
  // By address: the MLflow server may know the same dataset from elsewhere.
  const options = ['--dataset', address, '--model', 'tiny', '--epochs', '1', '--model-name', modelName];
  const output = ['--output', join(folder, `run-${args.length}`)];
  const program = join(root, 'training', 'train_planner.py');
  const { exitCode, stderr } = await run(environment.TRAINING_PYTHON!, [program, ...options, ...output, ...args]);
  expect(exitCode, stderr).toBe(0);
}

beforeAll(async () => {
  const [made, started, own, python] = await Promise.all([
    createTestDatabase(),
    startTestMlflow(),
    createOwnBucket(),
    ensurePythonEnvironment(trainingPackages),
  ]);
  [database, mlflow, bucket] = [made, started, own];
  folder = await mkdtemp(join(tmpdir(), 'offline-replay-test-'));
  environment = {
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '/',
    POSTGRES_URL: database.urlAs('dataset_builder'),
    ...objectStoreEnvironment({ objectStore: bucket.endpoints }),
    MLFLOW_URL: mlflow.url,
    TRAINING_PYTHON: join(python, 'bin', 'python'),
    OMP_NUM_THREADS: '1',
  };
  const world = sampleWorld({ households: 240 });
  await writeDomainRows(database.pool, world.rows);
  await writeTrainingRows(database.pool, runTraffic({ world }));
  const built = await ops('dataset', 'build', 'planner', '--label-cutoff', '2026-03-01', '--json');
  expect(built).toMatchObject({ exitCode: 0, stderr: '' });
  const { datasetVersion, objectKey } = JSON.parse(built.stdout);
  [dataset, address] = [datasetVersion, `s3://${bucket.endpoints.objectStoreBucket}/${objectKey}`];
  await train([]);
  await train(['--shuffle-targets']);
}, 1_200_000);

afterAll(async () => {
  await bucket.remove();
  await rm(folder, { recursive: true, force: true });
  await mlflow.stop();
  await database.drop();
});

const tagsOf = async (version: number) => {
  const versions = await createModelRegistry(createMlflowClient({ url: mlflow.url })).listVersions(modelName);
  return versions?.find((known) => known.version === version)?.tags;
};

const storedRows = async () =>
  (
    await database.pool.query(
      'SELECT id, model_version, verdict, reasons, metrics, object_key, mlflow_run_id FROM exp.offline_replay_results ORDER BY created_at',
    )
  ).rows;

test('a model that learned passes with the shipped tolerances, becomes a candidate, and the same replay again changes nothing', {
  timeout: timeoutMs,
}, async () => {
  const first = await ops('offline-replay', 'run', '--model', learned, '--dataset', dataset.slice(0, 12));
  expect(first).toMatchObject({ exitCode: 0, stderr: '' });
  expect(first.stdout).toMatch(/^replay [0-9a-f-]{36}: pass$/m);
  expect(first.stdout).toContain(`stage of ${learned}: candidate`);
  expect((await tagsOf(1))?.stage).toBe('candidate');

  const [stored, ...others] = await storedRows();
  expect(others).toEqual([]);
  expect(stored).toMatchObject({ verdict: 'pass', metrics: { avoidable_violations: { model: 0 } } });
  expect(stored.metrics.edit_distance_score).toBeGreaterThan(stored.metrics.scores.edit_distance_score.baseline);
  expect(stored.metrics.constraint_respect_score).toBe(1);
  expect(stored.metrics.unconstrained.constraint_respect_score.model).toBeLessThan(1);

  await using scratch = await openScratchDatabase();
  const path = join(scratch.folder, 'rows.parquet');
  await writeFile(path, await bucket.objectStore.get(stored.object_key));
  const rows = (
    await scratch.connection.runAndReadAll(
      `SELECT count(*)::integer AS plans, avg((model_scores ->> 'plan_alignment_score')::double) AS alignment,
         count(DISTINCT plan_id)::integer AS distinct_plans FROM read_parquet(${quoteText(path)})`,
    )
  ).getRowObjects();
  expect(rows).toEqual([
    {
      plans: stored.metrics.plans,
      distinct_plans: stored.metrics.plans,
      alignment: expect.closeTo(stored.metrics.plan_alignment_score, 9),
    },
  ]);
  const mlflowRun = await createTracking(createMlflowClient({ url: mlflow.url })).findRun(stored.mlflow_run_id);
  expect(mlflowRun).toMatchObject({
    status: 'FINISHED',
    params: { model: learned, dataset_version: dataset },
    metrics: { plan_alignment_score_model: expect.closeTo(stored.metrics.plan_alignment_score, 9) },
    tags: { verdict: 'pass', dataset_version: dataset },
    datasets: [{ digest: dataset.slice(0, 36) }],
  });

  // The spelling; nothing is planned again.
  const again = await ops('replay', 'run', '--model', learned, '--dataset', dataset, '--json');
  expect(JSON.parse(again.stdout)).toMatchObject({ id: stored.id, alreadyExisted: true, stage: 'candidate' });
  expect(await storedRows()).toHaveLength(1);
});

test('a model of shuffled answers fails and stays what it was; both are listed and shown', {
  timeout: timeoutMs,
}, async () => {
  const judged = await ops('offline-replay', 'run', '--model', shuffled, '--dataset', dataset, '--json');
  const replay = JSON.parse(judged.stdout);
  expect(replay).toMatchObject({ verdict: 'fail', stage: 'trained', alreadyExisted: false });
  expect(replay.reasons.some((reason: string) => reason.startsWith('edits fail: '))).toBe(true);
  expect((await tagsOf(2))?.stage).toBe('trained');
  const listed = await ops('offline-replay', 'list', '--model', modelName);
  expect(listed.stdout.split('\n').map((line) => line.trim().split(/\s+/).at(-1))).toEqual([
    'verdict',
    'fail',
    'pass',
    '',
  ]);
  const shown = await ops('offline-replay', 'show', replay.id.slice(0, 8));
  expect(shown.stdout).toMatch(/^plan_alignment_score, unconstrained +\d/m);
  expect(shown.stdout).toMatch(/^mode +standard +/m);
});

test('a replay that dies before its run is complete is finished once by the next one', {
  timeout: timeoutMs,
}, async () => {
  const client = createMlflowClient({ url: mlflow.url });
  const { version } = await registerBaseline(client);
  const options: ReplayOptions = {
    model: { name: baselineModelName, version },
    baseline: { name: modelName, version: 2 },
    datasetVersion: dataset,
    seed: 1,
    samples: 200,
    tolerances: defaultTolerances,
  };
  const pool = createPostgresPool({ url: environment.POSTGRES_URL!, poolSize: 2, applicationName: 'offline-replay' });
  const process = { python: environment.TRAINING_PYTHON!, environment };
  const dying = { ...client, uploadArtifact: () => Promise.reject(new Error('the process is gone')) };
  const before = (await storedRows()).length;
  await expect(runReplay(options, { pool, objectStore: bucket.objectStore, mlflow: dying, process })).rejects.toThrow(
    'the process is gone',
  );
  expect(await storedRows()).toHaveLength(before);
  // Two at once: one works, the other one finds its result.
  const both = await Promise.all(
    [1, 2].map(() => runReplay(options, { pool, objectStore: bucket.objectStore, mlflow: client, process })),
  );
  await pool.end();
  expect(both.map(({ alreadyExisted }) => alreadyExisted).sort()).toEqual([false, true]);
  expect(await storedRows()).toHaveLength(before + 1);
  const tracking = createTracking(client);
  const key = both[0]!.objectKey.replace(/^.*\//, '').replace('.parquet', '');
  const experimentIds = [await tracking.ensureExperiment('planner-offline-replay')];
  const runs = await tracking.searchRuns({ experimentIds, filter: `tags.replay_key = '${key}'` });
  expect(runs.map(({ status }) => status).sort()).toEqual(['FINISHED', 'KILLED']);
});

test('says what is wrong and stores nothing', { timeout: timeoutMs }, async () => {
  const before = await storedRows();
  const saying = async (...args: string[]) => {
    const { exitCode, stderr } = await ops('offline-replay', 'run', ...args);
    expect(exitCode).not.toBe(0);
    return stderr;
  };
  expect(await saying('--model', `${modelName}/9`, '--dataset', dataset)).toContain(
    `offline-replay: model ${modelName} version 9 cannot be used: it does not exist`,
  );
  expect(await saying('--model', learned, '--dataset', 'abcd')).toContain('there is no dataset version abcd');
  expect(await saying('--model', 'planner_model', '--dataset', dataset)).toContain('such as planner_model/3');
  expect(await saying('--model', learned, '--baseline', learned, '--dataset', dataset)).toContain(
    'cannot be compared with itself',
  );
  expect(await saying('--model', learned, '--baseline', 'planner-rule-based/99', '--dataset', dataset)).toContain(
    'planner-rule-based/99 is the planner of another release',
  );
  expect((await ops('replay')).stderr).toContain("required option '--group <name>' not specified");
  expect(await storedRows()).toEqual(before);
});
