// Runs the program of a job so that neither it nor what it starts outlives this process, and reads its progress and result.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export type ProgramOutcome =
  | { readonly kind: 'succeeded'; readonly result: unknown }
  /** `isFinal`: exit code 2, by which our programs say that their settings or options are wrong. */
  | { readonly kind: 'failed'; readonly error: string; readonly isFinal: boolean }
  /** Ended because it was told to. */
  | { readonly kind: 'stopped' };

export type RunningProgram = {
  readonly outcome: Promise<ProgramOutcome>;
  /** Asks it to stop and kills it after the grace period; `outcome` then settles. */
  stop(): void;
};

const script = readFileSync(new URL('run-in-group.sh', import.meta.url), 'utf8');
const keptErrorLines = 20;
const keptErrorCharacters = 2_000;

/** Starts `node <file> <args>`. `onLine` gets each line that it writes to stderr. */
export function startJobProgram(options: {
  file: string;
  args: readonly string[];
  cwd: string;
  environment: Readonly<Record<string, string | undefined>>;
  graceSeconds: number;
  onLine: (line: string) => void;
}): RunningProgram {
  const shell = spawn(
    'sh',
    [
      ...['-c', script, 'run-in-group', String(options.graceSeconds)],
      ...[process.execPath, '--disable-warning=ExperimentalWarning', options.file, ...options.args],
    ],
    { cwd: options.cwd, env: { ...options.environment }, detached: true, stdio: ['pipe', 'pipe', 'pipe'] },
  );
  let isStopped = false;
  let lastOutput = '';
  const errorLines: string[] = [];
  shell.stdin.on('error', () => undefined);
  createInterface({ input: shell.stdout }).on('line', (line) => {
    if (line.trim() !== '') lastOutput = line;
  });
  createInterface({ input: shell.stderr }).on('line', (line) => {
    if (line.trim() === '') return;
    errorLines.push(line);
    if (errorLines.length > keptErrorLines) errorLines.shift();
    options.onLine(line);
  });
  const outcome = new Promise<ProgramOutcome>((resolve) => {
    shell.on('error', (error) => resolve({ kind: 'failed', error: error.message, isFinal: false }));
    shell.on('close', (code, signal) => {
      if (code === 0) return resolve({ kind: 'succeeded', result: toResult(lastOutput) });
      if (isStopped) return resolve({ kind: 'stopped' });
      const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
      const said = errorLines.length > 0 ? errorLines.join('\n') : lastOutput;
      const error = said === '' ? `it ended with ${how}` : `${said.slice(-keptErrorCharacters)} (${how})`;
      resolve({ kind: 'failed', error, isFinal: code === 2 });
    });
  });
  return {
    outcome,
    stop: () => {
      isStopped = true;
      shell.stdin.destroy();
    },
  };
}

/** The JSON that our programs print last; of anything else the text. */
function toResult(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return line;
  }
}
