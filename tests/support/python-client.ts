// For tests: the Python client in a process of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const driver = fileURLToPath(new URL('python/client-driver.py', import.meta.url));

/** A decision as Python has it. */
export type PythonDecision = {
  readonly experiment_key: string;
  readonly experiment_id: string | null;
  readonly variant_id: string | null;
  readonly variant_name: string | null;
  readonly assigned_variant_id: string | null;
  readonly hash_bucket: number | null;
  readonly reason: string;
  readonly origin: string;
};

export type PythonClient = {
  /** Calls a method of the client; one call at a time. */
  ask<T>(command: Readonly<Record<string, unknown>> & { call: string }): Promise<T>;
  /** Closes the client; fails when its process ended with an error. */
  stop(): Promise<void>;
};

/** `options` are the arguments of the client. */
export function startPythonClient(options: Readonly<Record<string, unknown>>): PythonClient {
  const child = spawn('python3', ['-B', driver], { stdio: ['pipe', 'pipe', 'pipe'] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const ended = once(child, 'close') as Promise<[number | null]>;
  const tell = (line: unknown): void => void child.stdin.write(`${JSON.stringify(line)}\n`);
  tell(options);
  return {
    ask: async <T>(command: Readonly<Record<string, unknown>>) => {
      tell(command);
      const { value, done } = await answers.next();
      if (done === true) throw new Error(`the Python client has ended: ${errors}`);
      return JSON.parse(value) as T;
    },
    stop: async () => {
      child.stdin.end();
      const [code] = await ended;
      if (code !== 0) throw new Error(`the Python client failed: ${errors}`);
    },
  };
}
