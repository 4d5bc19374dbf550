// Promise: a process with wrong settings names every problem at once and exits non-zero; brokers, buckets and credentials have no default.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { assignmentServiceConfig } from '#api/assignment-service/config.ts';
import { ingestionServiceConfig } from '#api/ingestion-service/config.ts';
import { plannerServiceConfig } from '#api/planner-service/config.ts';
import { datasetBuilderConfig } from '#consumers/dataset-builder/config.ts';
import { metricsAggregatorConfig } from '#consumers/metrics-aggregator/config.ts';
import { parquetArchiverConfig } from '#consumers/parquet-archiver/config.ts';
import { postgresSinkConfig } from '#consumers/postgres-sink/config.ts';
import { repositoryRoot } from '#infra/local/local-dir.ts';
import { processEnvironment } from '#infra/system/environment.ts';
import { deriveLocalAccess } from '#infra/system/local-access.ts';
import { processSpecs } from '#infra/system/process-specs.ts';
import { deployConfig } from '#ops/deploy-config.ts';
import { listSettings, type SettingsShape } from '#platform/config/settings.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { datasetBuildConfig } from '#workers/dataset-build/config.ts';
import { guardrailMonitorConfig } from '#workers/guardrail-monitor/config.ts';
import { jobWorkerConfig } from '#workers/job-worker/config.ts';

const stream = ['KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL', 'POSTGRES_URL'];
const archive = ['S3_REGION', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY', 'S3_BUCKET'];

/** Every program of ours, and the settings of which a default would be a guess at somebody's infrastructure. */
const programs: readonly {
  readonly name: string;
  readonly entry: string;
  readonly args?: readonly string[];
  readonly shape: SettingsShape;
  readonly neverDefaulted: readonly string[];
}[] = [
  {
    name: 'assignment-service',
    entry: 'api/assignment-service/main.ts',
    shape: assignmentServiceConfig.shape,
    neverDefaulted: stream,
  },
  {
    name: 'ingestion-service',
    entry: 'api/ingestion-service/main.ts',
    shape: ingestionServiceConfig.shape,
    neverDefaulted: stream,
  },
  {
    name: 'postgres-sink',
    entry: 'consumers/postgres-sink/main.ts',
    shape: postgresSinkConfig.shape,
    neverDefaulted: stream,
  },
  {
    name: 'parquet-archiver',
    entry: 'consumers/parquet-archiver/main.ts',
    shape: parquetArchiverConfig.shape,
    neverDefaulted: [...stream, ...archive],
  },
  {
    name: 'metrics-aggregator',
    entry: 'consumers/metrics-aggregator/main.ts',
    shape: metricsAggregatorConfig.shape,
    neverDefaulted: stream,
  },
  {
    name: 'dataset-builder',
    entry: 'consumers/dataset-builder/main.ts',
    shape: datasetBuilderConfig.shape,
    neverDefaulted: stream,
  },
  {
    name: 'guardrail-monitor',
    entry: 'workers/guardrail-monitor/main.ts',
    shape: guardrailMonitorConfig.shape,
    neverDefaulted: stream,
  },
  {
    name: 'job-worker',
    entry: 'workers/job-worker/main.ts',
    shape: jobWorkerConfig.shape,
    neverDefaulted: [...stream, ...archive, 'REDIS_URL', 'ERASURE_KEY'],
  },
  {
    name: 'planner-service',
    entry: 'api/planner-service/main.ts',
    shape: plannerServiceConfig.shape,
    neverDefaulted: ['POSTGRES_URL', 'ASSIGNMENT_URL', 'INGESTION_URL', 'API_KEY'],
  },
  {
    name: 'dataset-build',
    entry: 'workers/dataset-build/main.ts',
    shape: datasetBuildConfig.shape,
    neverDefaulted: ['POSTGRES_URL', ...archive],
  },
  { name: 'ops', entry: 'ops/main.ts', args: ['deploy'], shape: deployConfig.shape, neverDefaulted: stream },
];

async function runProcess(entry: string, env: Readonly<Record<string, string>>, args: readonly string[] = []) {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(repositoryRoot, entry), ...args],
    {
      env: { ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 30_000,
    },
  );
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk;
    });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...text };
}

/** Names at the beginning of the lines that tell a problem. */
const namedProblems = (stderr: string): string[] =>
  [...stderr.matchAll(/^ {2}([A-Z][A-Z0-9_]*): received (.*); expected .+$/gm)].map(([, name]) => name!).sort();

test.for(programs)('$name says everything that is missing, at once, and exits non-zero', async (program) => {
  const { name, entry, args, shape, neverDefaulted } = program;
  const required = listSettings(shape)
    .filter(({ optional, defaultValue }) => !optional && defaultValue === undefined)
    .map((setting) => setting.name)
    .sort();
  expect(required).toEqual(expect.arrayContaining([...neverDefaulted]));
  const { code, stdout, stderr } = await runProcess(entry, {}, args);
  expect(code).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toContain(`${name}: ${required.length} settings are wrong`);
  expect(namedProblems(stderr)).toEqual(required);
});

test('ops without any setting first says how to get or name a system', async () => {
  const { stderr } = await runProcess('ops/main.ts', {}, ['lag']);
  expect(stderr.split('\n')[0]).toMatch(/"npm start -- --keep".*config\/ops-/);
  const partly = await runProcess('ops/main.ts', { KAFKA_BROKERS: 'localhost:9092' }, ['lag']);
  expect(partly.stderr).not.toContain('npm start');
  expect(namedProblems(partly.stderr)).toContain('POSTGRES_URL');
});

test('every process of the system is among them', () => {
  expect(programs.map(({ entry }) => entry)).toEqual(expect.arrayContaining(processSpecs.map(({ entry }) => entry)));
});

test.for(processSpecs)('$name --check-config tells valid settings from wrong ones', async (spec) => {
  const endpoints = stackEndpoints();
  // Port 1 refuses everybody: a process that did start would fail on it.
  const env: Record<string, string> = {
    ...processEnvironment({ spec, endpoints, access: deriveLocalAccess(endpoints), port: 0 }),
    KAFKA_BROKERS: '127.0.0.1:1',
    SCHEMA_REGISTRY_URL: 'http://127.0.0.1:1',
    REDIS_URL: 'redis://127.0.0.1:1',
    ASSIGNMENT_URL: 'http://127.0.0.1:1',
    INGESTION_URL: 'http://127.0.0.1:1',
    API_KEY: 'none',
  };
  const read = new Set(
    programs
      .filter(({ name }) => name === spec.name)
      .flatMap(({ shape }) => listSettings(shape).map(({ name }) => name)),
  );
  const wrongValues = { KAFKA_BROKERS: 'no port', POSTGRES_URL: 'mysql://u:s3cret@db/x', LOG_LEVEL: 'loud' };
  const mistakes = Object.fromEntries(Object.entries(wrongValues).filter(([name]) => read.has(name)));
  const [valid, wrong] = await Promise.all([
    runProcess(spec.entry, env, ['--check-config']),
    runProcess(spec.entry, { ...env, ...mistakes }, ['--check-config']),
  ]);
  expect(valid).toEqual({ code: 0, stdout: `${spec.name}: settings are valid\n`, stderr: '' });
  expect(wrong.code).toBe(2);
  expect(namedProblems(wrong.stderr)).toEqual(Object.keys(mistakes).sort());
  expect(wrong.stderr).not.toContain('s3cret');
});
