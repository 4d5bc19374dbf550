// Starts a program that cannot outlive this process: a small shell stops it when the pipe that only we hold open closes.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { beginLog, describeLogEnd } from './log-tail.ts';
import { StackError } from './stack-error.ts';

export type StopSignal = 'TERM' | 'INT';

export type ProgramSpec = {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly logPath: string;
  readonly stopSignal: StopSignal;
  /** How long the program may take to stop before it is killed. */
  readonly graceSeconds: number;
  /** The user to run as; left out means the current one. */
  readonly user?: { readonly uid: number; readonly gid: number };
};

export type Program = {
  /** The pid of the program itself, not of its shell. */
  readonly pid: number;
  /** Settles when the program has ended and everything of it is gone. */
  readonly ended: Promise<string>;
  /** Asks the program to stop, kills it after the grace period, and waits for its end. */
  stop(): Promise<void>;
};

const success = 'exit code 0';

// Given as text: the shell may run as a user who cannot read the repository.
const script = readFileSync(new URL('lifeline.sh', import.meta.url), 'utf8');

export async function startProgram(spec: ProgramSpec): Promise<Program> {
  const log = openSync(spec.logPath, 'a');
  let shell: ChildProcess;
  try {
    shell = spawn(
      'sh',
      ['-c', script, 'lifeline', spec.stopSignal, String(spec.graceSeconds), spec.file, ...spec.args],
      {
        // Its own process group: Ctrl-C in the terminal stops us, and we stop it, in order.
        detached: true,
        stdio: ['pipe', log, log, 'pipe'],
        env: { ...spec.env },
        cwd: spec.cwd,
        ...spec.user,
      },
    );
  } finally {
    closeSync(log);
  }
  const ended = once(shell, 'exit').then(([code, signal]) =>
    signal === null ? `exit code ${code}` : `signal ${signal}`,
  );
  shell.stdin?.on('error', () => {});
  // Were the shell itself killed, its watcher would still stop the program.
  void ended.then(() => shell.stdin?.destroy());
  const pid = Number(await readAll(shell.stdio[3] as Readable));
  if (!Number.isInteger(pid) || pid <= 0) throw new Error(`could not start ${spec.file}: ${await ended}`);
  return {
    pid,
    ended,
    stop: async () => {
      shell.stdin?.destroy();
      await ended;
    },
  };
}

/** Runs a short program to its end. @throws StackError with the end of its log when it fails. */
export async function runProgram(spec: Omit<ProgramSpec, 'stopSignal' | 'graceSeconds'>): Promise<void> {
  const logStart = await beginLog(spec.logPath);
  const program = await startProgram({ ...spec, stopSignal: 'TERM', graceSeconds: 5 });
  const how = await program.ended;
  if (how !== success) {
    throw new StackError(`${spec.file} failed (${how}).\n${await describeLogEnd(spec.logPath, logStart)}`);
  }
}

async function readAll(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}
