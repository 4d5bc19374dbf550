// Starts the local stack as children of this process, gives handles to each component, and leaves nothing behind.
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Component, ComponentContext, KafkaListener, Profile } from './component.ts';
import { type PerComponent, type StackEndpoints, selectComponents } from './components.ts';
import { readOrMakeCredentials } from './credentials.ts';
import { ensureJavaArtifacts, type JavaArtifacts } from './java-artifacts.ts';
import { endLeftovers } from './leftovers.ts';
import { type PortReservation, reservePorts } from './port-reservation.ts';
import { isPortFree } from './ports.ts';
import { findLockHolder, identifyProcess, tryLock } from './process-lock.mjs';
import { createRunningComponent, type RunningComponent } from './running-component.ts';
import { StackError } from './stack-error.ts';
import {
  type ComponentEntry,
  removeStackFile,
  type StackPhase,
  supervisorLockPath,
  writeStackFile,
} from './stack-file.ts';

export type LocalStackOptions = {
  /** Data, logs and stack.json; made when absent. */
  readonly localDir: string;
  /** default: the well-known ports where free. free: any free ones. Or ports by name, refused when taken; those not named are any free ones. */
  readonly ports?: 'default' | 'free' | Readonly<Record<string, number>>;
  /** Further listeners of the broker, for tests that stand between it and its clients. */
  readonly kafkaListeners?: readonly KafkaListener[];
  /** Components beyond those that always run. */
  readonly profiles?: readonly Profile[];
  /** Lines for a person who waits. */
  readonly onProgress?: (text: string) => void;
  /** A component that ended although nobody stopped it. */
  readonly onUnexpectedEnd?: (message: string) => void;
};

export type LocalStack = AsyncDisposable & {
  readonly localDir: string;
  readonly endpoints: StackEndpoints;
  readonly components: PerComponent<RunningComponent>;
  /** Stops every component, dependents first. Data stays. */
  stop(): Promise<void>;
};

/**
 * Starts every component and waits until each is healthy; those that do not depend on each other start side by side.
 * When this process ends in whatever way, even by kill -9, the components stop.
 * @throws StackError when another process runs a stack in this folder, or a component does not start; nothing is left running.
 */
export async function startLocalStack(options: LocalStackOptions): Promise<LocalStack> {
  const localDir = resolve(options.localDir);
  const onProgress = options.onProgress ?? (() => {});
  await mkdir(localDir, { recursive: true });
  const lock = tryLock(supervisorLockPath(localDir));
  if (lock === undefined) {
    const holder = findLockHolder(supervisorLockPath(localDir));
    throw new StackError(`A local stack already runs in ${localDir} (process ${holder?.pid ?? 'just ended'}).`);
  }
  try {
    await endLeftovers(localDir, onProgress);
    return await startComponents({ ...options, localDir, onProgress }, lock);
  } catch (error) {
    removeStackFile(localDir);
    lock.release();
    throw error;
  }
}

async function startComponents(
  options: LocalStackOptions & { readonly onProgress: (text: string) => void },
  lock: { release(): void },
): Promise<LocalStack> {
  const { localDir, onProgress } = options;
  const startedAt = new Date().toISOString();
  const supervisor = identifyProcess(process.pid);
  if (supervisor === undefined) throw new Error('cannot tell when this process started');
  let java: Promise<JavaArtifacts> | undefined;
  const logDir = join(localDir, 'logs');
  await mkdir(logDir, { recursive: true });
  const components = selectComponents(options.profiles ?? []);
  const mapComponents = <Result>(map: (component: Component) => Result): Record<string, Result> =>
    Object.fromEntries(components.map((component) => [component.name, map(component)]));
  const credentials = await readOrMakeCredentials(localDir);
  const reservation = await reservePortsOf(components, options.ports ?? 'default');
  const { ports } = reservation;
  const contextOf = ({ name }: Component): ComponentContext => ({
    localDir,
    dataDir: join(localDir, name),
    logDir,
    ports,
    ...(options.kafkaListeners === undefined ? {} : { kafkaListeners: options.kafkaListeners }),
    credentials,
    onProgress,
    java: () => (java ??= ensureJavaArtifacts(onProgress)),
  });
  const endpoints = mapComponents((component) => component.endpoint(contextOf(component))) as StackEndpoints;

  let phase: StackPhase = 'starting';
  let isGone = false;
  const saveState = () => {
    // While the components are being made there is nothing to tell; after the end the file must stay away.
    if (running === undefined || isGone) return;
    const entries = Object.fromEntries(
      [...running].map(([{ name }, { pid, logPath }]): [string, ComponentEntry] => {
        const identity = pid === undefined ? null : (identifyProcess(pid) ?? null);
        return [name, { process: identity, address: `127.0.0.1:${ports[name]}`, logPath }];
      }),
    );
    const perComponent = entries as PerComponent<ComponentEntry>;
    writeStackFile({ phase, startedAt, localDir, supervisor, ports, endpoints, components: perComponent });
  };
  let running: ReadonlyMap<Component, RunningComponent> | undefined;
  const handles = new Map(
    components.map((component) => [
      component,
      createRunningComponent({
        component,
        context: contextOf(component),
        onChange: saveState,
        onUnexpectedEnd: options.onUnexpectedEnd ?? onProgress,
      }),
    ]),
  );
  running = handles;
  saveState();

  let stopping: Promise<void> | undefined;
  const stop = () =>
    (stopping ??= (async () => {
      phase = 'stopping';
      saveState();
      await forEachInOrder(
        components,
        ({ name }) => components.filter(({ dependsOn }) => dependsOn.includes(name)).map((dependent) => dependent.name),
        async (component) => handles.get(component)?.stop(),
      );
      isGone = true;
      removeStackFile(localDir);
      reservation.release();
      lock.release();
    })());

  // Fetched before anything runs: a missing JDK is told at once.
  try {
    java = ensureJavaArtifacts(onProgress);
    await java;
    await forEachInOrder(
      components,
      ({ dependsOn }) => dependsOn,
      async (component) => {
        const begin = Date.now();
        onProgress(`${component.title}: starting`);
        await handles.get(component)?.start();
        onProgress(
          `${component.title}: ready on 127.0.0.1:${ports[component.name]} after ${((Date.now() - begin) / 1000).toFixed(1)} s`,
        );
      },
    );
  } catch (error) {
    await stop();
    throw error;
  }
  phase = 'ready';
  saveState();
  const byName = Object.fromEntries([...handles].map(([{ name }, handle]) => [name, handle]));
  return {
    localDir,
    endpoints,
    components: byName as unknown as PerComponent<RunningComponent>,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function reservePortsOf(
  components: readonly Component[],
  choice: NonNullable<LocalStackOptions['ports']>,
): Promise<PortReservation<string>> {
  const preferred: Record<string, number | undefined> = Object.assign({}, ...components.map(({ ports }) => ports));
  if (choice === 'default') return reservePorts(preferred);
  const asked = choice === 'free' ? {} : choice;
  for (const [name, port] of Object.entries(asked)) {
    if (!(name in preferred)) throw new StackError(`No component has a port named ${name}.`);
    // Who names a port has clients that know it: another one would not do.
    if (!(await isPortFree(port))) throw new StackError(`The port ${port}, asked for ${name}, is taken.`);
  }
  const reservation = await reservePorts(Object.fromEntries(Object.keys(preferred).map((name) => [name, asked[name]])));
  const lost = Object.entries(asked).find(([name, port]) => reservation.ports[name] !== port);
  if (lost === undefined) return reservation;
  reservation.release();
  throw new StackError(`The port ${lost[1]}, asked for ${lost[0]}, is taken by another stack that is starting.`);
}

// Runs the step for every component, each after those that `after` names. Waits for all, also when one fails, so that a failed
// start does not leave another one half way.
async function forEachInOrder(
  components: readonly Component[],
  after: (component: Component) => readonly string[],
  step: (component: Component) => Promise<void>,
): Promise<void> {
  const done = new Map<string, Promise<void>>();
  const run = (component: Component): Promise<void> => {
    const known = done.get(component.name);
    if (known !== undefined) return known;
    const names = after(component);
    const before = components.filter(({ name }) => names.includes(name)).map(run);
    const own = Promise.all(before).then(() => step(component));
    done.set(component.name, own);
    return own;
  };
  const results = await Promise.allSettled(components.map(run));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
