// The inference process and the planner service beside a local system that runs: started and stopped together.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StackEndpoints } from '../local/components.ts';
import { type Program, startProgram } from '../local/lifeline.ts';
import { repositoryRoot } from '../local/local-dir.ts';
import { beginLog, describeLogEnd } from '../local/log-tail.ts';
import { reservePorts } from '../local/port-reservation.ts';
import { ensurePythonEnvironment } from '../local/python-environment.ts';
import { trainingPackages } from '../local/python-packages.ts';
import { StackError } from '../local/stack-error.ts';
import { deriveLocalAccess } from './local-access.ts';
import { plannerServiceSpec } from './process-specs.ts';
import { createRunningProcess, type RunningProcess } from './system.ts';

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

export type InferenceProcess = {
  readonly url: string;
  readonly logPath: string;
  /** undefined while it does not run. */
  readonly pid: number | undefined;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
};

export type Planner = AsyncDisposable & {
  readonly inference: InferenceProcess;
  readonly service: RunningProcess;
  stop(): Promise<void>;
};

const defaultInferencePort = 7072;
/** Importing the packages takes most of it, and on a busy machine several times as long. */
const readyDeadlineMs = 120_000;

/** Not started yet. */
function createInferenceProcess(options: {
  python: string;
  mlflowUrl: string;
  port: number;
  planner: PlannerOptions;
}): InferenceProcess {
  const { python, mlflowUrl, port, planner } = options;
  const url = `http://127.0.0.1:${port}`;
  const logPath = join(planner.localDir, 'logs', 'planner-inference.log');
  const models = (planner.models ?? []).flatMap((model) => ['--model', model]);
  let program: Program | undefined;

  const waitUntilReady = async (ended: { how?: string }, logStart: number): Promise<void> => {
    const deadline = Date.now() + readyDeadlineMs;
    for (;;) {
      const state = ended.how === undefined ? '' : `ended while starting (${ended.how})`;
      if (state !== '' || Date.now() > deadline) {
        const what = state === '' ? `is not ready after ${readyDeadlineMs / 1000} s` : state;
        throw new StackError(`The inference process ${what}.\n${await describeLogEnd(logPath, logStart)}`);
      }
      const answer = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
      if (answer?.ok === true) return;
      await sleep(100);
    }
  };

  return {
    url,
    logPath,
    get pid() {
      return program?.pid;
    },
    start: async () => {
      if (program !== undefined) return;
      const logStart = await beginLog(logPath);
      const started = await startProgram({
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
        logPath,
        stopSignal: 'TERM',
        graceSeconds: 25,
      });
      program = started;
      const ended: { how?: string } = {};
      let ready = false;
      void started.ended.then((how) => {
        ended.how = how;
        const expected = program !== started;
        if (!expected) program = undefined;
        if (ready && !expected)
          planner.onUnexpectedEnd?.(`planner-inference ended by itself (${how}); its log is ${logPath}`);
      });
      try {
        await waitUntilReady(ended, logStart);
        ready = true;
      } catch (error) {
        program = undefined;
        await started.stop();
        throw error;
      }
    },
    stop: async () => {
      const target = program;
      program = undefined;
      await target?.stop();
    },
    kill: async () => {
      const target = program;
      if (target === undefined) throw new StackError('The inference process does not run.');
      program = undefined;
      process.kill(target.pid, 'SIGKILL');
      await target.ended;
    },
  };
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
    inference: isFree ? undefined : defaultInferencePort,
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
