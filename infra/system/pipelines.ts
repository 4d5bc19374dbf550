// `npm run pipelines`: runs the scheduled flows of pipelines/ in their own environment, on the Prefect and the queue of the local stack.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { ensurePythonEnvironment } from '../local/python-environment.ts';
import { prefectPackages } from '../local/python-packages.ts';
import { describeError, StackError } from '../local/stack-error.ts';
import { findStack } from '../local/stack-file.ts';
import { administratorEnvironment } from './environment.ts';
import { deriveLocalAccess } from './local-access.ts';

const program = join(import.meta.dirname, '..', '..', 'pipelines', 'serve.py');

try {
  const stack = process.env.PREFECT_API_URL === undefined ? findStack() : null;
  if (process.env.PREFECT_API_URL === undefined && stack?.endpoints.prefect === undefined)
    throw new StackError(
      'No Prefect server: start the local stack with "npm run up -- --profile ml", or set PREFECT_API_URL and the settings of ops.',
    );
  const settings =
    stack === null
      ? {}
      : {
          ...administratorEnvironment(stack.endpoints, deriveLocalAccess(stack.endpoints)),
          PREFECT_API_URL: stack.endpoints.prefect!.url,
        };
  const folder = await ensurePythonEnvironment(prefectPackages, (text) => process.stderr.write(`${text}\n`));
  const child = spawn(join(folder, 'bin', 'python'), [program, ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: {
      ...settings,
      PREFECT_SERVER_ANALYTICS_ENABLED: 'false',
      DO_NOT_TRACK: '1',
      ...process.env,
      // The flows call `node`, which shall be this one.
      PATH: `${dirname(process.execPath)}:${process.env.PATH ?? '/usr/bin:/bin'}`,
    },
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => child.kill(signal));
  child.on('close', (exitCode) => {
    process.exitCode = exitCode ?? 1;
  });
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = 1;
}
