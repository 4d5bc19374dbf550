// The whole local system from nothing: stack, deployment, keys, processes. Used by `npm start`, its keeper and the tests.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import type { StackEndpoints } from '../local/components.ts';
import { repositoryRoot } from '../local/local-dir.ts';
import { startLocalStack } from '../local/stack.ts';
import { StackError } from '../local/stack-error.ts';
import { findStack } from '../local/stack-file.ts';
import { ensureLocalKeys } from './access-keys.ts';
import { administratorEnvironment, processEnvironment } from './environment.ts';
import { deriveLocalAccess } from './local-access.ts';
import type { ProcessName } from './process-specs.ts';
import { type System, type SystemOptions, startSystem } from './system.ts';

/** Settings that make a demonstration quick: short waits where production prefers large objects. */
const demonstrationOverrides: Partial<Record<ProcessName, Readonly<Record<string, string>>>> = {
  'parquet-archiver': { FLUSH_MAX_AGE_MS: '2000' },
};

/** Runs one of our programs to its end and gives what it printed. @throws StackError with its output when it fails. */
export async function runOwnProgram(
  entry: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  codeRoot = repositoryRoot,
): Promise<string> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(codeRoot, entry), ...args], {
    cwd: codeRoot,
    env: { ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [output, errors] = ['', ''];
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    errors += String(chunk);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new StackError(`${entry} ${args.join(' ')} failed (exit code ${code}).\n${errors}${output}`);
  return output;
}

/** Migrations, topics, schemas and the local API keys. */
export async function deployLocally(endpoints: StackEndpoints): Promise<void> {
  const access = deriveLocalAccess(endpoints);
  await runOwnProgram('ops/main.ts', ['deploy'], administratorEnvironment(endpoints, access));
  const pool = createPostgresPool({ url: endpoints.postgres.superuserUrl, poolSize: 1, applicationName: 'npm-start' });
  try {
    await ensureLocalKeys(pool, access);
  } finally {
    await pool.end();
  }
}

/** Builds the planner's dataset as its own process with its own role. */
export async function buildPlannerDataset(
  endpoints: StackEndpoints,
  options: { labelCutoff: string },
): Promise<{ datasetVersion: string; objectKey: string; rowCount: number }> {
  const env = processEnvironment({
    spec: {
      name: 'dataset-builder',
      entry: 'workers/dataset-build/main.ts',
      role: 'dataset_builder',
      portSetting: 'OPERATIONS_PORT',
      defaultPort: 0,
      needsObjectStore: true,
    },
    endpoints,
    access: deriveLocalAccess(endpoints),
    port: 0,
    overrides: { DATASET_LABEL_CUTOFF: options.labelCutoff },
  });
  const output = await runOwnProgram('workers/dataset-build/main.ts', [], env);
  return JSON.parse(output.trim().split('\n').at(-1)!) as {
    datasetVersion: string;
    objectKey: string;
    rowCount: number;
  };
}

export type LocalSystem = { readonly endpoints: StackEndpoints; readonly system: System };

/**
 * Uses the running stack of the folder or starts one, deploys, and starts every process. What was started is put on `resources`.
 */
export async function bringUp(options: {
  localDir: string;
  resources: AsyncDisposableStack;
  onProgress: (text: string) => void;
  onUnexpectedEnd: (message: string) => void;
  stackPorts?: 'default' | 'free';
  system?: Pick<SystemOptions, 'replicas' | 'overrides' | 'ports'>;
}): Promise<LocalSystem> {
  const { localDir, resources, onProgress, onUnexpectedEnd } = options;
  const running = findStack(localDir);
  const endpoints =
    running?.endpoints ??
    resources.use(
      await startLocalStack({ localDir, onProgress, onUnexpectedEnd, ports: options.stackPorts ?? 'default' }),
    ).endpoints;
  onProgress('migrations, topics, schemas');
  await deployLocally(endpoints);
  onProgress('services and consumer groups: starting');
  const system = resources.use(
    await startSystem({ endpoints, localDir, overrides: demonstrationOverrides, ...options.system, onUnexpectedEnd }),
  );
  return { endpoints, system };
}
