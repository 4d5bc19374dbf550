// The inference process and the planner service beside a local system that runs: started and stopped together.
import { join } from 'node:path';
import type { StackEndpoints } from '../local/components.ts';
import { repositoryRoot } from '../local/local-dir.ts';
import { reservePorts } from '../local/port-reservation.ts';
import { ensurePythonEnvironment } from '../local/python-environment.ts';
import { trainingPackages } from '../local/python-packages.ts';
import { StackError } from '../local/stack-error.ts';
import { createHeldProgram, type RunningProcess } from './held-program.ts';
import { deriveLocalAccess } from './local-access.ts';
import { plannerServiceSpec } from './process-specs.ts';
import { createRunningProcess } from './system.ts';

type Settings = Readonly<Record<string, string>>;

export type PlannerOptions = {
  endpoints: StackEndpoints;
  localDir: string;
  assignmentUrl: string;
  ingestionUrl: string;
  /** Model versions that are loaded before the inference process is ready; others are loaded when they are needed. */
  models?: readonly string[];
  /** Further settings of the planner service. */
  overrides?: Settings;
  /** Further options of training/serve_planner.py. */
  inferenceOptions?: readonly string[];
  ports?: 'default' | 'free';
  onProgress?: (text: string) => void;
  onUnexpectedEnd?: (message: string) => void;
};

export type Planner = AsyncDisposable & {
  readonly inference: RunningProcess;
  readonly service: RunningProcess;
  stop(): Promise<void>;
};

export const inferencePort = 7072;
/** Importing the packages takes most of it, and on a busy machine several times as long. */
const readyDeadlineMs = 120_000;

/** Not started yet. */
function createInferenceProcess(options: {
  python: string;
  mlflowUrl: string;
  port: number;
  planner: PlannerOptions;
}): RunningProcess {
  const { python, mlflowUrl, port, planner } = options;
  const models = (planner.models ?? []).flatMap((model) => ['--model', model]);
  return createHeldProgram({
    name: 'planner-inference',
    url: `http://127.0.0.1:${port}`,
    readyPath: '/health/ready',
    readyDeadlineMs,
    logPath: join(planner.localDir, 'logs', 'planner-inference.log'),
    command: () => ({
      file: python,
      args: [
        join(repositoryRoot, 'training', 'serve_planner.py'),
        ...['--mlflow-url', mlflowUrl, '--host', '127.0.0.1', '--port', String(port)],
        ...models,
        ...(planner.inferenceOptions ?? []),
      ],
      env: {
        PATH: process.env.PATH ?? '/usr/bin:/bin',
        HOME: process.env.HOME ?? '/',
        // One thread is many times faster for a small model.
        OMP_NUM_THREADS: process.env.OMP_NUM_THREADS ?? '1',
      },
      cwd: repositoryRoot,
    }),
    onUnexpectedEnd: planner.onUnexpectedEnd,
  });
}

/** Both are ready when it returns. @throws StackError with the end of the log of the one that did not start; nothing stays running. */
export async function startPlanner(options: PlannerOptions): Promise<Planner> {
  const { endpoints, localDir } = options;
  if (endpoints.mlflow === undefined) {
    throw new StackError(
      'Models are in MLflow: stop the stack with "npm run down" and start it with "npm run up -- --profile ml".',
    );
  }
  const environment = await ensurePythonEnvironment(trainingPackages, options.onProgress);
  const isFree = options.ports === 'free';
  const { ports, release } = await reservePorts({
    inference: isFree ? undefined : inferencePort,
    service: isFree ? undefined : plannerServiceSpec.defaultPort,
  });
  const inference = createInferenceProcess({
    python: join(environment, 'bin', 'python'),
    mlflowUrl: endpoints.mlflow.url,
    port: ports.inference!,
    planner: options,
  });
  const service = createRunningProcess({
    name: plannerServiceSpec.name,
    spec: plannerServiceSpec,
    replica: 1,
    port: ports.service!,
    system: {
      endpoints,
      localDir,
      overrides: {
        'planner-service': {
          ASSIGNMENT_URL: options.assignmentUrl,
          INGESTION_URL: options.ingestionUrl,
          API_KEY: deriveLocalAccess(endpoints).ingestKey,
          INFERENCE_URL: inference.url,
          ...options.overrides,
        },
      },
      ...(options.onUnexpectedEnd === undefined ? {} : { onUnexpectedEnd: options.onUnexpectedEnd }),
    },
  });
  const stop = async (): Promise<void> => {
    await service.stop();
    await inference.stop();
    release();
  };
  try {
    options.onProgress?.('inference process: starting');
    await inference.start();
    options.onProgress?.('planner service: starting');
    await service.start();
  } catch (error) {
    await stop();
    throw error;
  }
  return { inference, service, stop, [Symbol.asyncDispose]: stop };
}
