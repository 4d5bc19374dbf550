// One component of a running stack: started until healthy, stopped, restarted or killed without touching the others.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Component, ComponentContext } from './component.ts';
import { type Program, startProgram } from './lifeline.ts';
import { beginLog, describeLogEnd } from './log-tail.ts';
import { StackError } from './stack-error.ts';

const checkIntervalMs = 100;
// Signals that end every component. Others (SIGSTOP, SIGCONT, SIGHUP, SIGQUIT) mean something else to a JVM or to Postgres.
const endingSignals: readonly NodeJS.Signals[] = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGABRT'];

export type RunningComponent = {
  readonly name: string;
  readonly logPath: string;
  /** undefined while it is not running. */
  readonly pid: number | undefined;
  /** Starts it with the same ports and data and waits until it is healthy. Does nothing when it runs. */
  start(): Promise<void>;
  /** Stops it in order and waits for its end. Does nothing when it does not run. */
  stop(): Promise<void>;
  restart(): Promise<void>;
  /** Sends the signal, SIGKILL by default. After KILL, TERM, INT and ABRT waits for the end; others (STOP, CONT) return at once. */
  kill(signal?: NodeJS.Signals): Promise<void>;
};

export type RunningComponentDeps = {
  readonly component: Component;
  readonly context: ComponentContext;
  readonly onChange: () => void;
  readonly onUnexpectedEnd: (message: string) => void;
};

// States: stopped -> start() -> starting -> healthy -> stop(), kill() or its own end -> stopped. `program` is set from starting on.
export function createRunningComponent(deps: RunningComponentDeps): RunningComponent {
  const { component, context } = deps;
  const logPath = join(context.logDir, `${component.name}.log`);
  let program: Program | undefined;
  let isEndExpected = false;

  async function start(): Promise<void> {
    if (program !== undefined) return;
    await mkdir(context.dataDir, { recursive: true });
    const command = await component.prepare(context);
    const logStart = await beginLog(logPath);
    const started = await startProgram({
      file: command.file,
      args: command.args,
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: context.dataDir, TZ: 'UTC', ...command.env },
      cwd: command.cwd ?? context.dataDir,
      logPath,
      stopSignal: component.stopSignal,
      graceSeconds: component.graceSeconds,
      ...(command.user === undefined ? {} : { user: command.user }),
    });
    program = started;
    isEndExpected = false;
    const end: { how?: string } = {};
    let isHealthy = false;
    void started.ended.then((how) => {
      end.how = how;
      if (program === started) program = undefined;
      deps.onChange();
      if (isHealthy && !isEndExpected)
        deps.onUnexpectedEnd(`${component.title} ended by itself (${how}); its log is ${logPath}`);
    });
    deps.onChange();
    try {
      await waitUntilHealthy(end, logStart);
      await component.provision?.(context);
      isHealthy = true;
    } catch (error) {
      isEndExpected = true;
      await started.stop();
      throw error;
    }
  }

  async function waitUntilHealthy(end: { readonly how?: string }, logStart: number): Promise<void> {
    const deadline = Date.now() + component.healthDeadlineMs;
    for (;;) {
      const problem = await component.check(context).then(
        () => undefined,
        (error: Error) => error,
      );
      if (end.how !== undefined) {
        throw new StackError(
          `${component.title} ended while starting (${end.how}).\n${await describeLogEnd(logPath, logStart)}`,
        );
      }
      if (problem === undefined) return;
      if (Date.now() > deadline) {
        throw new StackError(
          `${component.title} was not healthy after ${component.healthDeadlineMs / 1000} s: ${problem.message}.\n${await describeLogEnd(logPath, logStart)}`,
          { cause: problem },
        );
      }
      await delay(checkIntervalMs);
    }
  }

  async function stop(): Promise<void> {
    isEndExpected = true;
    // A suspended program cannot answer the stop signal.
    if (program !== undefined) sendSignal(program.pid, 'SIGCONT');
    await program?.stop();
  }

  async function kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const target = program;
    if (target === undefined) return;
    const isDeadly = endingSignals.includes(signal);
    if (isDeadly) isEndExpected = true;
    sendSignal(target.pid, signal);
    if (isDeadly) await target.ended;
  }

  return {
    name: component.name,
    logPath,
    get pid() {
      return program?.pid;
    },
    start,
    stop,
    restart: async () => {
      await stop();
      await start();
    },
    kill,
  };
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
