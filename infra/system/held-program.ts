// A program that listens and says when it is ready, held as a process: started, stopped, killed and started again.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Program, startProgram } from '../local/lifeline.ts';
import { beginLog, describeLogEnd } from '../local/log-tail.ts';
import { StackError } from '../local/stack-error.ts';

export type RunningProcess = {
  /** Folder name, with `-2`, `-3`, ... for further replicas. */
  readonly name: string;
  readonly url: string;
  readonly logPath: string;
  /** undefined while it does not run. */
  readonly pid: number | undefined;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Sends a signal; after an ending one it waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<void>;
};

const endingSignals: readonly NodeJS.Signals[] = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGABRT'];

/** Not started yet. `command` is asked at each start. */
export function createHeldProgram(options: {
  name: string;
  url: string;
  /** Answers 2xx once the program is ready. */
  readyPath: string;
  readyDeadlineMs: number;
  logPath: string;
  command: () => { file: string; args: readonly string[]; env: Readonly<Record<string, string>>; cwd: string };
  onUnexpectedEnd?: ((message: string) => void) | undefined;
}): RunningProcess {
  const { name, url, readyPath, readyDeadlineMs, logPath } = options;
  let program: Program | undefined;
  let endExpected = false;

  const waitUntilReady = async (ended: { how?: string }, logStart: number): Promise<void> => {
    const deadline = Date.now() + readyDeadlineMs;
    for (;;) {
      if (ended.how !== undefined)
        throw new StackError(
          `${name} ended while starting (${ended.how}).\n${await describeLogEnd(logPath, logStart)}`,
        );
      const ready = await fetch(`${url}${readyPath}`, { signal: AbortSignal.timeout(2_000) }).then(
        (answer) => answer.ok,
        () => false,
      );
      if (ready) return;
      if (Date.now() > deadline)
        throw new StackError(
          `${name} is not ready after ${readyDeadlineMs / 1000} s.\n${await describeLogEnd(logPath, logStart)}`,
        );
      await sleep(50);
    }
  };

  return {
    name,
    url,
    logPath,
    get pid() {
      return program?.pid;
    },
    start: async () => {
      if (program !== undefined) return;
      const logStart = await beginLog(logPath);
      const started = await startProgram({ ...options.command(), logPath, stopSignal: 'TERM', graceSeconds: 25 });
      program = started;
      endExpected = false;
      const ended: { how?: string } = {};
      let ready = false;
      void started.ended.then(async (how) => {
        ended.how = how;
        if (program === started) program = undefined;
        if (ready && !endExpected)
          options.onUnexpectedEnd?.(`${name} ended by itself (${how}).\n${await describeLogEnd(logPath, logStart)}`);
      });
      try {
        await waitUntilReady(ended, logStart);
        ready = true;
      } catch (error) {
        endExpected = true;
        await started.stop();
        throw error;
      }
    },
    stop: async () => {
      endExpected = true;
      await program?.stop();
    },
    kill: async (signal = 'SIGKILL') => {
      const target = program;
      if (target === undefined) throw new StackError(`${name} does not run.`);
      if (endingSignals.includes(signal)) endExpected = true;
      process.kill(target.pid, signal);
      if (endingSignals.includes(signal)) await target.ended;
    },
  };
}
