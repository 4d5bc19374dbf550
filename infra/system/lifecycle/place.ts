// Where the lifecycle runs: a stack with MLflow and Redis and all of our processes, in a folder and on ports of its own.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createKafka, type Kafka, plaintext } from '#platform/kafka/kafka-client.ts';
import { createPostgresPool, type Pool } from '#platform/postgres/pool.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import type { StackEndpoints } from '../../local/components.ts';
import { cleanUp } from '../../local/leftovers.ts';
import { repositoryRoot } from '../../local/local-dir.ts';
import { ensurePythonEnvironment } from '../../local/python-environment.ts';
import { trainingPackages } from '../../local/python-packages.ts';
import { startLocalStack } from '../../local/stack.ts';
import { removeStackData } from '../../local/stack-data.ts';
import { StackError } from '../../local/stack-error.ts';
import { bringUp } from '../bring-up.ts';
import { administratorEnvironment } from '../environment.ts';
import { deriveLocalAccess, type LocalAccess } from '../local-access.ts';
import type { System } from '../system.ts';
import type { Story } from './story.ts';

export type OpsAnswer = { readonly exitCode: number | null; readonly stdout: string; readonly stderr: string };

export type Place = {
  readonly localDir: string;
  readonly endpoints: StackEndpoints;
  readonly access: LocalAccess;
  readonly system: System;
  readonly pool: Pool;
  readonly kafka: Kafka;
  /** Runs a command of the operators, and shows it. */
  runOps(args: readonly string[], options?: { readonly quiet?: boolean }): Promise<OpsAnswer>;
  /** What a command prints with --json. @throws StackError with what it said when it fails. */
  ops<T>(...args: string[]): Promise<T>;
};

const quote = (word: string): string => (/^[\w@%+=:,./#-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/** What is started is put on `resources`. */
export async function startPlace(options: {
  localDir: string;
  /** Removes the data of an earlier run. */
  wipe: boolean;
  story: Story;
  resources: AsyncDisposableStack;
  onUnexpectedEnd: (message: string) => void;
}): Promise<Place> {
  const { localDir, wipe, story, resources, onUnexpectedEnd } = options;
  const onProgress = story.progress;
  const python = await ensurePythonEnvironment(trainingPackages, onProgress);
  if (!(await cleanUp(localDir, async () => (wipe ? removeStackData(localDir) : undefined))))
    throw new StackError(`A stack runs in ${localDir}: stop it with TRIALSTREAM_LOCAL_DIR=${localDir} npm run down.`);
  resources.use(await startLocalStack({ localDir, ports: 'free', profiles: ['ml'], onProgress, onUnexpectedEnd }));
  const { endpoints, system } = await bringUp({
    localDir,
    resources,
    onProgress,
    onUnexpectedEnd,
    system: { ports: 'free' },
  });
  const access = deriveLocalAccess(endpoints);
  const pool = createPostgresPool({
    url: endpoints.postgres.superuserUrl,
    poolSize: 3,
    applicationName: 'lifecycle',
    statementTimeoutMs: 120_000,
  });
  resources.defer(() => pool.end());
  const kafka = createKafka({
    ...plaintext(endpoints.kafka.brokers),
    clientId: 'lifecycle',
    log: createSilentLogger(),
  });
  const environment = {
    ...administratorEnvironment(endpoints, access),
    TRAINING_PYTHON: join(python, 'bin', 'python'),
    OPS_ACTOR: 'lifecycle',
  };
  const runOps: Place['runOps'] = async (args, { quiet = false } = {}) => {
    if (!quiet)
      story.command(
        `npm run -s ops -- ${args
          .filter((word) => word !== '--json')
          .map(quote)
          .join(' ')}`,
      );
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'ops/main.ts', ...args], {
      cwd: repositoryRoot,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (text) => (stdout += text));
    child.stderr.on('data', (text) => (stderr += text));
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    return { exitCode, stdout, stderr };
  };
  return {
    localDir,
    endpoints,
    access,
    system,
    pool,
    kafka,
    runOps,
    ops: async <T>(...args: string[]): Promise<T> => {
      const { exitCode, stdout, stderr } = await runOps([...args, '--json']);
      if (exitCode !== 0)
        throw new StackError(`ops ${args.join(' ')} failed (exit code ${exitCode}).\n${stderr}${stdout}`);
      return JSON.parse(stdout) as T;
    },
  };
}
