// A flow fires by its schedule on a real Prefect server, and each of its runs ends in the one job of its key.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { jobKindNames } from '#domain/jobs/job-kinds.ts';
import { prefect } from '#infra/local/components/prefect.ts';
import { redis } from '#infra/local/components/redis.ts';
import { ensurePythonEnvironment } from '#infra/local/python-environment.ts';
import { prefectPackages } from '#infra/local/python-packages.ts';
import { createJobQueues, queuePrefix } from '#platform/jobs/job-queues.ts';
import { jobStates } from '#platform/jobs/job-view.ts';
import { connectRedis } from '#platform/redis/redis-client.ts';
import { opsEnvironment } from '#tests/support/ops-command.ts';
import { createOwnComponent, type OwnComponent } from '#tests/support/own-component.ts';
import { until } from '#tests/support/poll.ts';
import { pythonWith } from '#tests/support/python-venv.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';

let server: OwnComponent<{ url: string }>;
let queue: OwnComponent<{ url: string }>;
let place: TestSystem;
let home: string;
let python: string;

// The first run installs the Python packages.
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'trialstream-pipelines-'));
  python = join(await ensurePythonEnvironment(prefectPackages), 'bin', 'python');
  server = await createOwnComponent(prefect);
  queue = await createOwnComponent(redis);
  await Promise.all([server.start(), queue.start()]);
  place = await startTestSystem(
    { 'job-worker': 1 },
    { endpoints: { ...stackEndpoints(), redis: queue.endpoint }, overrides: () => ({ JOB_FOLDER: home }) },
  );
}, 600_000);

afterAll(async () => {
  await place?.stop();
  await Promise.all([server, queue].map((component) => component?.[Symbol.asyncDispose]()));
  await rm(home, { recursive: true, force: true });
});

async function ask<T>(path: string, body: object): Promise<T> {
  const response = await fetch(`${server.endpoint.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(response.ok, await response.clone().text()).toBe(true);
  return (await response.json()) as T;
}

type FlowRun = { id: string; auto_scheduled: boolean; state_type: string; expected_start_time: string };

test('a scheduled flow fires, submits its job once, waits for it and leaves an artifact', async () => {
  const environment = opsEnvironment({
    postgresUrl: place.database.urlAs('operator'),
    namespace: place.topics.namespace,
    erasureKey: place.access.erasureKey,
    settings: { REDIS_URL: queue.endpoint.url, PREFECT_API_URL: server.endpoint.url, PREFECT_HOME: home },
  });
  const program = join(import.meta.dirname, '..', 'infra', 'system', 'pipelines.ts');
  const pipelines = spawn(process.execPath, [program, '--only', 'upkeep-daily', '--every', '5'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const beganAt = new Date().toISOString();
  let output = '';
  for (const stream of [pipelines.stdout, pipelines.stderr]) stream.on('data', (text) => (output += text));
  const ended = once(pipelines, 'close');
  try {
    const runs = await until(
      `two scheduled runs have ended well\n${output}`,
      async () => {
        const found = await ask<FlowRun[]>('/flow_runs/filter', {
          flow_runs: {
            state: { type: { any_: ['COMPLETED', 'FAILED', 'CRASHED'] } },
            // The database of Prefect outlives the server: a stack that runs on has the runs of earlier tests.
            expected_start_time: { after_: beganAt },
          },
        });
        return found.length >= 2 && found;
      },
      { deadlineMs: 240_000, intervalMs: 500 },
    ).catch((error: unknown) => {
      throw new Error(output, { cause: error });
    });
    expect(
      runs.every(({ auto_scheduled, state_type }) => auto_scheduled && state_type === 'COMPLETED'),
      output,
    ).toBe(true);
    expect(new Set(runs.map(({ expected_start_time }) => expected_start_time)).size).toBe(runs.length);
  } finally {
    pipelines.kill('SIGTERM');
    await ended;
  }

  const client = await connectRedis({ url: queue.endpoint.url, clientName: 'test' });
  await using queues = createJobQueues({
    redis: client,
    prefix: queuePrefix(place.topics.namespace),
    kinds: jobKindNames,
  });
  const jobs = await queues.list({ kinds: jobKindNames, states: jobStates, limit: 10 });
  // One a day, unless the test runs over midnight.
  expect(new Set(jobs.map(({ key }) => key)).size).toBe(jobs.length);
  expect(jobs.length).toBeLessThanOrEqual(2);
  expect(jobs[0]).toMatchObject({
    kind: 'upkeep',
    key: expect.stringMatching(/^daily-\d{4}-\d\d-\d\d$/),
    state: 'completed',
  });
  client.disconnect();
  const artifacts = await ask<{ data: string }[]>('/artifacts/filter', {
    artifacts: { key: { any_: ['job-upkeep'] } },
  });
  expect(artifacts[0]!.data).toContain(`# upkeep/${jobs[0]!.key}`);
}, 400_000);

test('the flows have strict types', { timeout: 180_000 }, async () => {
  const mypy = join(dirname(await pythonWith('requirements-checks.txt')), 'mypy');
  const flags = ['--strict', '--python-executable', python, '--cache-dir', '/dev/null', '--follow-imports=silent'];
  const result = await promisify(execFile)(mypy, [...flags, 'serve.py'], { cwd: import.meta.dirname }).catch(
    (error) => error,
  );
  expect(result.code ?? 0, `${result.stdout}${result.stderr}`).toBe(0);
});
