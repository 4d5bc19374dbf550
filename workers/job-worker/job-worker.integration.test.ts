// Jobs on a real queue, done by the worker's own process: killed, drained, cancelled, dead, and without Redis for a while.
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { jobKindNames } from '#domain/jobs/job-kinds.ts';
import { redis } from '#infra/local/components/redis.ts';
import { submitJob } from '#ops/jobs/queued-jobs.ts';
import { createJobQueues, type JobQueues, queuePrefix } from '#platform/jobs/job-queues.ts';
import type { JobState, JobView } from '#platform/jobs/job-view.ts';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelRegistry } from '#platform/mlflow/model-registry.ts';
import { createTracking, type MlflowRun } from '#platform/mlflow/tracking.ts';
import { createPatientRedis, type Redis } from '#platform/redis/redis-client.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { runTraffic, sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';
import { writeDomainRows } from '#producers/planner-traffic/write-domain-rows.ts';
import { inNamespace, topics } from '#schemas/topics.ts';
import { archiveSegments } from '#tests/support/archive.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { startTestMlflow, type TestMlflow } from '#tests/support/mlflow.ts';
import { runOpsJson } from '#tests/support/ops-command.ts';
import { createOwnBucket, type OwnBucket } from '#tests/support/own-bucket.ts';
import { createOwnComponent, type OwnComponent } from '#tests/support/own-component.ts';
import { until } from '#tests/support/poll.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';
import { writeTrainingRows } from '#tests/support/training-rows.ts';

const patience = { deadlineMs: 60_000 };
const world = sampleWorld({ households: 40 });
const anHour = Date.UTC(2026, 0, 5, 3);

let server: OwnComponent<{ url: string }>;
let bucket: OwnBucket;
let mlflow: TestMlflow;
let place: TestSystem;
let client: Redis;
let queues: JobQueues;

const worker = () => place.system.process('job-worker');
const ops = <T>(...args: string[]): Promise<T> =>
  runOpsJson<T>(
    {
      postgresUrl: place.database.urlAs('operator'),
      namespace: place.topics.namespace,
      erasureKey: place.access.erasureKey,
      settings: { REDIS_URL: server.endpoint.url, S3_BUCKET: bucket.endpoints.objectStoreBucket },
    },
    args,
  );
const reach = (name: string, state: JobState): Promise<JobView> => {
  const [kind, key] = name.split('/') as [string, string];
  return until(
    `${name} is ${state}`,
    async () => {
      const job = await queues.find(kind, key);
      return job?.state === state && job;
    },
    patience,
  );
};

/** Sessions of programs of jobs that wait for a lock of the test. */
async function listWaiting(program: string): Promise<number[]> {
  const { rows } = await place.database.pool.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 AND wait_event_type = 'Lock'`,
    [program],
  );
  return rows.map(({ pid }) => pid);
}
const inTheMiddle = (program: string, sessions = 1): Promise<number[]> =>
  until(
    `${program} is in the middle of its work`,
    async () => {
      const pids = await listWaiting(program);
      return pids.length >= sessions && pids;
    },
    patience,
  );
const gone = (program: string): Promise<boolean> =>
  until(`${program} has ended`, async () => (await listWaiting(program)).length === 0, patience);

/** Holds what both programs need in the middle of their work: the lock of dataset builds, and writes to the manifest. */
const holdUp = (): Promise<AsyncDisposable> =>
  hold([
    `SELECT pg_advisory_xact_lock(hashtextextended('dataset-build/planner', 0))`,
    'LOCK TABLE exp.archive_manifest IN EXCLUSIVE MODE',
  ]);

async function hold(locks: readonly string[]): Promise<AsyncDisposable> {
  // Not of the pool, whose sessions may not rest in a transaction.
  const session = new pg.Client({ connectionString: place.database.url });
  await session.connect();
  await session.query('BEGIN');
  for (const lock of locks) await session.query(lock);
  return { [Symbol.asyncDispose]: () => session.end() };
}

const submit = async (key: string): Promise<JobView> =>
  (await submitJob(queues, { kind: 'dataset-build', given: {}, key, actor: 'tester' })).job;

/** The worker looks at its queues every few seconds. */
const reachCount = (state: 'dead' | 'cancelled', count: number): Promise<unknown> =>
  until(`the metrics say ${count} ${state}`, async () =>
    (await (await fetch(`${worker().url}/metrics`)).text()).includes(
      `job_queue_jobs{kind="dataset-build",state="${state}",service="job-worker"} ${count}\n`,
    ),
  );

const listDatasets = async () =>
  (await place.database.pool.query<{ dataset_version: string }>('SELECT dataset_version FROM exp.dataset_versions'))
    .rows;

beforeAll(async () => {
  server = await createOwnComponent(redis);
  await server.start();
  mlflow = await startTestMlflow();
  bucket = await createOwnBucket();
  place = await startTestSystem(
    { 'job-worker': 1 },
    {
      endpoints: { ...stackEndpoints(), objectStore: bucket.endpoints, redis: server.endpoint },
      overrides: () => ({ JOB_LOCK_MS: '3000', JOB_BACKOFF_MS: '10', JOB_DRAIN_MS: '300', MLFLOW_URL: mlflow.url }),
    },
  );
  client = createPatientRedis({ url: server.endpoint.url, clientName: 'test', log: createSilentLogger() });
  queues = createJobQueues({ redis: client, prefix: queuePrefix(place.topics.namespace), kinds: jobKindNames });
  await writeDomainRows(place.database.pool, world.rows);
  await writeTrainingRows(place.database.pool, runTraffic({ world }));
  const segment = (partition: number) => ({
    partition,
    firstOffset: 0n,
    appendTimeMs: anHour,
    events: [sampleEvent({}), sampleEvent({})],
  });
  await archiveSegments(
    {
      pool: place.database.pool,
      objectStore: place.objectStore,
      topic: inNamespace(topics.events.name, place.topics.namespace),
    },
    [segment(0), segment(1)],
  );
}, 600_000);

afterAll(async () => {
  await queues?.[Symbol.asyncDispose]();
  client?.disconnect();
  await place?.stop();
  await bucket?.remove();
  await mlflow?.stop();
  await server?.[Symbol.asyncDispose]();
});

test('a worker that is killed in mid-job leaves nothing running, and the next one does each job once', async () => {
  await using held = await holdUp();
  const build = ['dataset', 'build', 'planner', '--queue', '--key', 'daily'];
  const first = await ops<JobView & { isNew: boolean }>(...build);
  expect(first).toMatchObject({ kind: 'dataset-build', key: 'daily', isNew: true, submittedBy: 'tester' });
  expect(first.parameters).toEqual({ model: 'planner', 'label-cutoff': expect.stringMatching(/Z$/) });
  await ops('archive', 'compact', '--queue', '--key', 'hourly');
  const [builder] = await inTheMiddle('dataset-build');
  await inTheMiddle('compaction');

  await worker().kill('SIGKILL');
  await Promise.all([gone('dataset-build'), gone('compaction')]);
  expect(await listDatasets()).toEqual([]);

  await worker().start();
  expect(await inTheMiddle('dataset-build')).not.toContain(builder);
  await inTheMiddle('compaction');
  await held[Symbol.asyncDispose]();
  const [built, compacted] = await Promise.all([
    reach('dataset-build/daily', 'completed'),
    reach('compaction/hourly', 'completed'),
  ]);
  expect(built).toMatchObject({ failedAttempts: 0, error: null, result: { alreadyExisted: false } });
  expect(compacted).toMatchObject({ failedAttempts: 0, result: { files: 1, replacedObjects: 2, rows: 4 } });

  // The same key again, by two at once: still one job and one effect.
  const again = await Promise.all([1, 2].map(() => ops<JobView & { isNew: boolean }>(...build, '--wait')));
  expect(again.map(({ isNew, state }) => ({ isNew, state }))).toEqual(
    Array(2).fill({ isNew: false, state: 'completed' }),
  );
  expect(await listDatasets()).toEqual([
    { dataset_version: (built.result as { datasetVersion: string }).datasetVersion },
  ]);
  const files = await place.database.pool.query(
    `SELECT count(*) FROM exp.archive_manifest WHERE status = 'committed' AND row_count > 0`,
  );
  expect(files.rows).toEqual([{ count: 1n }]);
  await expect(ops(...build, '--from', '2026-01-01')).rejects.toThrow('was asked for with other parameters');
}, 180_000);

test('a worker that is killed while it trains or judges a model leaves one model version and one result', async () => {
  const client = createMlflowClient({ url: mlflow.url });
  const [modelName, key] = [0, 1].map(() => `jobs-test-${randomBytes(4).toString('hex')}`) as [string, string];
  const [{ dataset_version: dataset }] = (await listDatasets()) as [{ dataset_version: string }];
  const given = { dataset, model: 'tiny', epochs: '1', 'model-name': modelName };
  await submitJob(queues, { kind: 'training', given, key, actor: 'tester' });
  const tracking = createTracking(client);
  const listRuns = async (): Promise<MlflowRun[]> => {
    const experiment = await tracking.findExperiment('planner-training');
    const filter = `tags.training_key = '${key}'`;
    return experiment === null ? [] : tracking.searchRuns({ experimentIds: [experiment], filter });
  };
  await until('the training has begun', async () => (await listRuns()).length > 0, { deadlineMs: 900_000 });
  await worker().kill('SIGKILL');
  await worker().start();
  const trained = await until(
    'the training has ended',
    async () => {
      const job = await queues.find('training', key);
      return job !== null && ['completed', 'dead'].includes(job.state) && job;
    },
    { deadlineMs: 300_000 },
  );
  expect(trained).toMatchObject({ state: 'completed', failedAttempts: 0 });
  const versions = await createModelRegistry(client).listVersions(modelName);
  expect(versions?.map(({ version, tags }) => [version, tags.training_key])).toEqual([[1, key]]);
  expect((await listRuns()).filter(({ status }) => status === 'FINISHED')).toHaveLength(1);

  // Rows and run are written before the result, which waits here.
  await using holding = await hold(['LOCK TABLE exp.offline_replay_results IN EXCLUSIVE MODE']);
  const asked = { model: `${modelName}/1`, dataset };
  await submitJob(queues, { kind: 'offline-replay', given: asked, key: 'judged', actor: 'tester' });
  const judging = async (): Promise<number[]> =>
    until(
      'the result is to be stored',
      async () => {
        const pids = await listWaiting('offline-replay');
        return pids.length > 0 && pids;
      },
      { deadlineMs: 180_000 },
    );
  const [first] = await judging();
  await worker().kill('SIGKILL');
  await gone('offline-replay');
  await worker().start();
  expect(await judging()).not.toContain(first);
  await holding[Symbol.asyncDispose]();
  expect(await reach('offline-replay/judged', 'completed')).toMatchObject({ result: { alreadyExisted: false } });
  const { rows } = await place.database.pool.query<{ replay_key: string }>(
    'SELECT replay_key FROM exp.offline_replay_results',
  );
  expect(rows).toHaveLength(1);
  const experiment = (await tracking.findExperiment('planner-offline-replay'))!;
  const filter = `tags.replay_key = '${rows[0]!.replay_key}'`;
  const replays = await tracking.searchRuns({ experimentIds: [experiment], filter });
  expect(replays.filter(({ status }) => status === 'FINISHED')).toHaveLength(1);
}, 1_500_000);

test('a worker that is killed while it reconciles, keeps up or looks at promotions does each once after its restart', async () => {
  const kinds = ['reconcile', 'upkeep', 'promotion-check'];
  // Two need the events, to count them and to make the tables of their coming days.
  await using holding = await hold(['LOCK TABLE exp.events', 'LOCK TABLE exp.running_promotions']);
  for (const kind of kinds) await submitJob(queues, { kind, given: {}, key: 'once', actor: 'tester' });
  const before = await inTheMiddle('ops', kinds.length);
  await worker().kill('SIGKILL');
  await gone('ops');
  await worker().start();
  const after = await inTheMiddle('ops', kinds.length);
  expect(after.filter((pid) => before.includes(pid))).toEqual([]);
  await holding[Symbol.asyncDispose]();
  for (const kind of kinds)
    expect(await reach(`${kind}/once`, 'completed')).toMatchObject({ failedAttempts: 0, error: null });
}, 180_000);

test('a worker that is told to stop hands back what it cannot finish in time', async () => {
  await using held = await holdUp();
  await ops('jobs', 'submit', 'dataset-build', '--key', 'drained', '--param', 'model=planner');
  await inTheMiddle('dataset-build');
  await worker().stop();
  await gone('dataset-build');
  expect(place.unexpectedEnds).toEqual([]);
  expect(await queues.find('dataset-build', 'drained')).toMatchObject({ state: 'waiting', failedAttempts: 0 });
  await held[Symbol.asyncDispose]();
  await worker().start();
  expect(await reach('dataset-build/drained', 'completed')).toMatchObject({ result: { alreadyExisted: true } });
}, 120_000);

test('a running job is stopped and a waiting one never starts when they are cancelled', async () => {
  await using held = await holdUp();
  await submit('first');
  await inTheMiddle('dataset-build');
  await submit('second');
  const request = { by: 'tester', because: null };
  expect(await queues.cancel('dataset-build', 'second', request)).toMatchObject({ state: 'cancelled' });
  await ops('jobs', 'cancel', 'dataset-build/first', '--because', 'not needed');
  expect(await reach('dataset-build/first', 'cancelled')).toMatchObject({ error: 'cancelled by tester: not needed' });
  await gone('dataset-build');
  await until(
    'the worker has noted the other',
    async () => (await reach('dataset-build/second', 'cancelled')).error !== null,
  );
  expect(await reach('dataset-build/second', 'cancelled')).toMatchObject({
    startedAt: expect.any(String),
    result: null,
  });
  await reachCount('cancelled', 2);
  await reachCount('dead', 0);
  await held[Symbol.asyncDispose]();
  await expect(ops('jobs', 'cancel', 'dataset-build/daily')).rejects.toThrow(
    'is completed: there is nothing to cancel',
  );
}, 120_000);

test('a dead job outlives Redis with its error, and is retried; without Redis everybody says so', async () => {
  await place.database.pool.query('ALTER TABLE exp.training_rows RENAME TO rows_elsewhere');
  await submit('broken');
  const dead = await reach('dataset-build/broken', 'dead');
  expect(dead).toMatchObject({ failedAttempts: 5, maxAttempts: 5 });
  expect(dead.error).toMatch(/dataset-build: relation .*training_rows.* does not exist/);
  await place.database.pool.query('ALTER TABLE exp.rows_elsewhere RENAME TO training_rows');

  await server.stop();
  await expect(ops('jobs', 'list')).rejects.toThrow(/ops: Redis at 127.0.0.1:\d+ cannot be used: .*ECONNREFUSED/);
  await until('the worker is not ready', async () => (await fetch(`${worker().url}/readyz`)).status === 503);
  await server.start();
  await until('the worker is ready again', async () => (await fetch(`${worker().url}/readyz`)).ok);

  const { jobs } = await ops<{ jobs: JobView[] }>('jobs', 'list', '--state', 'dead');
  expect(jobs).toEqual([dead]);
  await reachCount('dead', 1);
  expect(await ops('jobs', 'show', 'dataset-build/broken')).toMatchObject({ ...dead, log: expect.any(Array) });
  await ops('jobs', 'retry', 'dataset-build/broken');
  expect(await reach('dataset-build/broken', 'completed')).toMatchObject({ failedAttempts: 0, error: null });
  const metrics = await (await fetch(`${worker().url}/metrics`)).text();
  expect(metrics).toMatch(/job_attempts_total\{kind="dataset-build",outcome="failed",service="job-worker"\} 5/);
  await reachCount('dead', 0);
  expect(place.unexpectedEnds).toEqual([]);
}, 180_000);

test('wrong kinds, parameters and keys are refused with what was expected', async () => {
  const refused = (kind: string, given: Record<string, string>, key?: string) =>
    expect(submitJob(queues, { kind, given, key, actor: 'tester' })).rejects;
  await refused('painting', {}).toThrow('there is no kind of job painting: known are dataset-build');
  await refused('training', { epochs: '0', colour: 'red' }).toThrow(
    /epochs: received "0"; expected an integer from 1[\s\S]*colour[\s\S]*dataset: received nothing/,
  );
  await refused('upkeep', {}, 'a key').toThrow('expected up to 120 letters');
  const { kinds } = await ops<{ kinds: { name: string }[] }>('jobs', 'kinds');
  expect(kinds.map(({ name }) => name)).toEqual(jobKindNames);
  await expect(queues.get('upkeep', 'nothing')).rejects.toThrow('there is no job upkeep/nothing');
});
