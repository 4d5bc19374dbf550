// Runs a job of workers/ or consumers/, which commands do not import, as a process of its own and gives its result.
import { spawn } from 'node:child_process';
import { FatalError } from '#platform/errors.ts';

/** The JSON line that the job prints at the end; what it says meanwhile goes to stderr. @throws FatalError when it fails. */
export async function runJob<T>(
  entry: string,
  environment: Readonly<Record<string, string | undefined>>,
  args: readonly string[] = [],
): Promise<T> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', entry, ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [exitCode, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, name) => resolve([code, name]));
  });
  if (exitCode !== 0) {
    throw new FatalError(`nothing was finished: the job ended with ${signal ?? `exit code ${exitCode}`}, see above`, {
      code: 'unexpected',
    });
  }
  return JSON.parse(output.trim().split('\n').at(-1) ?? '') as T;
}
