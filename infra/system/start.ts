// `npm start`: the stream end to end on real data: bring up, replay, wait for lag zero, check, report, stop.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { createKafka, plaintext } from '#platform/kafka/kafka-client.ts';
import { createObjectStore } from '#platform/object-store/object-store.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { OpenBanditFileError } from '#producers/open-bandit/parse-open-bandit.ts';
import type { StackEndpoints } from '../local/components.ts';
import { defaultLocalDir, repositoryRoot } from '../local/local-dir.ts';
import { describeError, StackError } from '../local/stack-error.ts';
import { readStack } from '../local/stack-file.ts';
import { bringUp, buildPlannerDataset } from './bring-up.ts';
import { waitUntilCaughtUp } from './caught-up.ts';
import { runChecks } from './checks.ts';
import type { KeeperMessage } from './keeper.ts';
import { deriveLocalAccess } from './local-access.ts';
import type { ProcessName } from './process-specs.ts';
import { describeRun, type RunReport, toReportJson } from './report.ts';
import { findSystemFile } from './system-file.ts';
import { runWorkloads } from './workloads.ts';

const count = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a positive integer');
  return value;
};

const options = new Command('npm start --')
  .description(
    'Replay a real A/B test and a simulated meal planner through the whole system, check every store, report',
  )
  .option(
    '--open-bandit <file>',
    'Open Bandit file, gzipped or not',
    join(repositoryRoot, 'data', 'open-bandit-men.csv.gz'),
  )
  .option('--seed <number>', 'seed of the planner traffic', count, 1)
  .option('--households <count>', 'simulated households', count, 40)
  .option('--days <count>', 'simulated days', count, 7)
  .option('--json', 'print the report as one JSON object on the last line of stdout', false)
  .option('--keep', 'leave everything running and say where', false)
  .parse()
  .opts<{ openBandit: string; seed: number; households: number; days: number; json: boolean; keep: boolean }>();

/** Reactions of the simulated week are all before this day, so the same run always builds the same dataset. */
const labelCutoff = '2026-11-01T00:00:00Z';

const begin = performance.now();
const seconds = (): number => (performance.now() - begin) / 1000;
const isTerminal = process.stderr.isTTY === true;
let lastShownAt = Number.NEGATIVE_INFINITY;
let lineIsOpen = false;

/** A finished step: a line of its own. */
function step(text: string): void {
  process.stderr.write(`${lineIsOpen ? '\r\x1b[K' : ''}[${seconds().toFixed(1).padStart(6)} s] ${text}\n`);
  lineIsOpen = false;
}

/** Progress within a step: rewritten in place on a terminal, a line now and then elsewhere. */
function progress(text: string): void {
  const now = performance.now();
  if (now - lastShownAt < (isTerminal ? 100 : 3_000)) return;
  lastShownAt = now;
  if (!isTerminal) {
    step(text);
    return;
  }
  process.stderr.write(`\r\x1b[K[${seconds().toFixed(1).padStart(6)} s] ${text}`);
  lineIsOpen = true;
}

type Access = { endpoints: StackEndpoints; urlOf: (name: ProcessName) => string };

/** Starts the keeper and waits until it holds everything; or finds one that already does. */
async function keep(localDir: string): Promise<Access> {
  if (findSystemFile(localDir) === null) {
    mkdirSync(join(localDir, 'logs'), { recursive: true });
    const log = openSync(join(localDir, 'logs', 'keeper.log'), 'a');
    const keeper = spawn(
      process.execPath,
      [...process.execArgv, fileURLToPath(new URL('keeper.ts', import.meta.url)), localDir],
      {
        detached: true,
        stdio: ['ignore', log, log, 'ipc'],
      },
    );
    closeSync(log);
    const failure = await new Promise<string | null>((done) => {
      keeper.on('message', (message: KeeperMessage) => {
        if (message.kind === 'progress') step(message.text);
        else done(message.kind === 'ready' ? null : message.text);
      });
      keeper.on('error', (error) => done(error.message));
      keeper.on('exit', (code) =>
        done(`the keeper ended (exit code ${code}); see ${join(localDir, 'logs', 'keeper.log')}`),
      );
    });
    if (failure !== null) throw new StackError(failure);
    keeper.unref();
  }
  const file = findSystemFile(localDir);
  if (file === null) throw new StackError('the keeper ended right after its start');
  return { endpoints: readStack(localDir).endpoints, urlOf: (name) => file.processes[name]!.url };
}

async function run(localDir: string, resources: AsyncDisposableStack): Promise<RunReport> {
  let access: Access;
  if (options.keep || findSystemFile(localDir) !== null) access = await keep(localDir);
  else {
    const { endpoints, system } = await bringUp({
      localDir,
      resources,
      onProgress: step,
      onUnexpectedEnd: (text) => fail(new StackError(text)),
    });
    access = { endpoints, urlOf: (name) => system.process(name).url };
  }
  const { endpoints } = access;
  const pool = createPostgresPool({
    url: endpoints.postgres.superuserUrl,
    poolSize: 3,
    applicationName: 'npm-start',
    statementTimeoutMs: 300_000,
  });
  resources.defer(() => pool.end());
  const kafka = createKafka({
    ...plaintext(endpoints.kafka.brokers),
    clientId: 'npm-start',
    log: createSilentLogger(),
  });
  const { objectStoreBucket, ...storeSettings } = endpoints.objectStore;
  const objectStore = createObjectStore({ ...storeSettings, bucket: objectStoreBucket });
  resources.defer(() => objectStore.close());
  step('everything is ready; replaying');

  const streamBegin = performance.now();
  const results = await runWorkloads({
    assignmentUrl: access.urlOf('assignment-service'),
    ingestionUrl: access.urlOf('ingestion-service'),
    access: deriveLocalAccess(endpoints),
    pool,
    openBanditFile: resolve(options.openBandit),
    planner: { seed: options.seed, households: options.households, days: options.days },
    onProgress: progress,
  });
  step(`sent ${results.openBandit.events.sent + results.planner.events.sent} events`);
  await waitUntilCaughtUp({ kafka, pool, onProgress: progress });
  const streamSeconds = (performance.now() - streamBegin) / 1000;
  step('every consumer group has caught up');
  const dataset = await buildPlannerDataset(endpoints, { labelCutoff });
  step(`dataset ${dataset.objectKey}`);
  const { checks, figures } = await runChecks({ pool, kafka, objectStore, results });
  return { results, figures, checks, dataset, streamSeconds, seconds: seconds() };
}

function fail(error: unknown): void {
  failure.reject(error);
}

const failure = Promise.withResolvers<never>();
// Nobody waits for it until the run has begun.
failure.promise.catch(() => undefined);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => fail(new StackError('interrupted: everything that was started is stopped')));
}

const localDir = defaultLocalDir();
const resources = new AsyncDisposableStack();
try {
  const report = await Promise.race([run(localDir, resources), failure.promise]);
  step('stopping');
  await resources.disposeAsync();
  process.stdout.write(`${describeRun(report)}\n`);
  if (options.keep) {
    const rows = Object.entries(findSystemFile(localDir)?.processes ?? {}).map(
      ([name, { url }]) => `  ${name.padEnd(20)} ${url}`,
    );
    process.stdout.write(
      `\nLeft running (stop with "npm run down"):\n${rows.join('\n')}\n  addresses and credentials of the stack: ${localDir}/stack.json\n`,
    );
  }
  if (options.json) process.stdout.write(`${toReportJson(report)}\n`);
  process.exitCode = report.checks.every(({ ok }) => ok) ? 0 : 1;
} catch (error) {
  // The file of a person who runs this: what is wrong with it is the whole story.
  step(error instanceof OpenBanditFileError ? error.message : describeError(error));
  await resources.disposeAsync().catch((second: unknown) => step(describeError(second)));
  process.exitCode = 1;
}
// Lifelines stop what could not be stopped in order; open handles of clients must not keep this process.
process.exit();
