// Starts our services and consumer groups as separate processes on a local stack, with handles to stop, kill and restart each.
import { join } from 'node:path';
import type { StackEndpoints } from '../local/components.ts';
import { repositoryRoot } from '../local/local-dir.ts';
import { reservePorts } from '../local/port-reservation.ts';
import { StackError } from '../local/stack-error.ts';
import { processEnvironment } from './environment.ts';
import { createHeldProgram, type RunningProcess } from './held-program.ts';
import { deriveLocalAccess } from './local-access.ts';
import { type ProcessName, type ProcessSpec, processSpecs } from './process-specs.ts';

export type { RunningProcess };

export type System = AsyncDisposable & {
  readonly processes: ReadonlyMap<string, RunningProcess>;
  /** The first replica of a service or group. @throws StackError when it was not started. */
  process(name: ProcessName): RunningProcess;
  /**
   * Starts or stops replicas until replicas 1 to `count` run, and forgets the others; a replica that ended by itself is started
   * again. One after the other. @throws StackError when a replica does not start: those before it run.
   */
  scale(name: ProcessName, count: number): Promise<void>;
  stop(): Promise<void>;
};

type Settings = Readonly<Record<string, string>>;

export type SystemOptions = {
  endpoints: StackEndpoints;
  localDir: string;
  /** Replicas of each process; one by default, none with 0. */
  replicas?: Partial<Record<ProcessName, number>>;
  /** Of these replicas, how many start at first; the handles of the others start them later. All by default. */
  startAtFirst?: Partial<Record<ProcessName, number>>;
  /** Further settings by process, the same for its replicas or one by one: the first replica is number 1. */
  overrides?: Partial<Record<ProcessName, Settings | ((replica: number) => Settings)>>;
  /** Folder of the code that runs, the same for all replicas or one by one; another one than this repository for tests of a changed copy. */
  codeRoot?: string | ((replica: number) => string);
  ports?: 'default' | 'free';
  onUnexpectedEnd?: (message: string) => void;
};

const readyDeadlineMs = 60_000;

/** One process, not started yet. */
export function createRunningProcess(options: {
  name: string;
  spec: ProcessSpec;
  replica: number;
  port: number;
  system: SystemOptions;
}): RunningProcess {
  const { name, spec, replica, port, system } = options;
  const codeRoot =
    typeof system.codeRoot === 'function' ? system.codeRoot(replica) : (system.codeRoot ?? repositoryRoot);
  const overrides = system.overrides?.[spec.name] ?? {};
  const access = deriveLocalAccess(system.endpoints);
  return createHeldProgram({
    name,
    url: `http://127.0.0.1:${port}`,
    readyPath: '/readyz',
    readyDeadlineMs,
    logPath: join(system.localDir, 'logs', `${name}.log`),
    command: () => ({
      file: process.execPath,
      args: ['--disable-warning=ExperimentalWarning', ...(spec.nodeArguments ?? []), join(codeRoot, spec.entry)],
      env: processEnvironment({
        spec,
        endpoints: system.endpoints,
        access,
        port,
        overrides: typeof overrides === 'function' ? overrides(replica) : overrides,
      }),
      cwd: codeRoot,
    }),
    onUnexpectedEnd: system.onUnexpectedEnd,
  });
}

/**
 * Starts every process (or those that `startAtFirst` says) and waits until each is ready: services listen, group members own their partitions. When this process ends
 * in whatever way, they stop. @throws StackError with the end of the log of the one that did not start; nothing stays running.
 */
export async function startSystem(options: SystemOptions): Promise<System> {
  const nameOf = (spec: ProcessSpec, replica: number): string =>
    replica === 1 ? spec.name : `${spec.name}-${replica}`;
  const processes = new Map<string, RunningProcess>();
  const releases: (() => void)[] = [];
  /** Adds handles for replicas that have none yet. */
  const add = async (wanted: readonly { spec: ProcessSpec; replica: number }[]): Promise<void> => {
    const missing = wanted
      .map(({ spec, replica }) => ({ spec, replica, name: nameOf(spec, replica) }))
      .filter(({ name }) => !processes.has(name));
    const preferred = missing.map(
      ({ spec, replica, name }) =>
        [name, options.ports === 'free' ? undefined : spec.defaultPort + replica - 1] as const,
    );
    const { ports, release } = await reservePorts(Object.fromEntries(preferred));
    // Until the system stops: a process that is started again listens on the same port.
    releases.push(release);
    for (const { spec, replica, name } of missing)
      processes.set(name, createRunningProcess({ name, spec, replica, port: ports[name]!, system: options }));
  };
  const replicasOf = (spec: ProcessSpec, count: number) =>
    Array.from({ length: count }, (_, index) => ({ spec, replica: index + 1 }));

  let scaling: Promise<void> = Promise.resolve();
  let stopped = false;
  const scaleNow = async (name: ProcessName, count: number): Promise<void> => {
    if (stopped) throw new StackError('the system is stopping');
    const spec = processSpecs.find((candidate) => candidate.name === name)!;
    const wanted = replicasOf(spec, count);
    await add(wanted);
    const names = new Set(wanted.map(({ replica }) => nameOf(spec, replica)));
    const surplus = [...processes.keys()].filter(
      (candidate) => candidate.replace(/-\d+$/, '') === name && !names.has(candidate),
    );
    await Promise.all(surplus.map((candidate) => processes.get(candidate)!.stop()));
    for (const candidate of surplus) processes.delete(candidate);
    await Promise.all([...names].map((candidate) => processes.get(candidate)!.start()));
  };

  const stop = async (): Promise<void> => {
    stopped = true;
    await scaling;
    // Services first: nothing new flows in while the groups drain.
    const isService = ({ name }: RunningProcess): boolean => name.includes('-service');
    const all = [...processes.values()];
    await Promise.all(all.filter(isService).map((process) => process.stop()));
    await Promise.all(all.filter((process) => !isService(process)).map((process) => process.stop()));
    for (const release of releases.splice(0)) release();
  };
  const possible = processSpecs.filter((spec) => spec.needsRedis !== true || options.endpoints.redis !== undefined);
  const wanted = possible.flatMap((spec) =>
    replicasOf(spec, options.replicas?.[spec.name] ?? (spec.startsOnDemand === true ? 0 : 1)),
  );
  await add(wanted);
  const first = wanted.filter(({ spec, replica }) => replica <= (options.startAtFirst?.[spec.name] ?? replica));
  const started = await Promise.allSettled(
    first.map(({ spec, replica }) => processes.get(nameOf(spec, replica))!.start()),
  );
  const failure = started.find((result) => result.status === 'rejected');
  if (failure !== undefined) {
    await stop();
    throw failure.reason;
  }
  return {
    processes,
    process: (name) => {
      const found = processes.get(name);
      if (found === undefined) throw new StackError(`${name} was not started.`);
      return found;
    },
    scale: (name, count) => {
      const scaled = scaling.then(() => scaleNow(name, count));
      scaling = scaled.catch(() => undefined);
      return scaled;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
