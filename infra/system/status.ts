// `npm run status`: the state of each component and process, seen by using it; exits with 1 when one is not healthy. `--env` prints
// the addresses and keys of the local system as lines for a shell.
import { parseArgs } from 'node:util';
import { defaultLocalDir } from '../local/local-dir.ts';
import { isAlive } from '../local/process-lock.mjs';
import { describeError } from '../local/stack-error.ts';
import { findStackFile, readStack } from '../local/stack-file.ts';
import { checkComponents, describeStatus, formatTable } from '../local/status-report.ts';
import { shellEnvironment } from './environment.ts';
import { findSystemFile, type SystemFile } from './system-file.ts';

type ProcessStatus = { process: string; state: 'ready' | 'not ready' | 'down'; url: string; logPath: string };

const answerDeadlineMs = 5_000;

async function checkProcesses(file: SystemFile | null): Promise<ProcessStatus[]> {
  return Promise.all(
    Object.entries(file?.processes ?? {}).map(async ([process, { url, logPath }]) => {
      const state = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(answerDeadlineMs) }).then(
        ({ ok }) => (ok ? 'ready' : 'not ready'),
        () => 'down' as const,
      );
      return { process, state, url, logPath };
    }),
  );
}

const describeProcesses = (processes: readonly ProcessStatus[]): string =>
  processes.length === 0
    ? 'services and consumer groups: none ("npm start -- --keep" starts them)'
    : formatTable([
        ['process', 'state', 'address', 'log'],
        ...processes.map(({ process, state, url, logPath }) => [process, state, url, logPath]),
      ]);

/** `export NAME='value'` lines, to be used with eval. */
function printEnvironment(localDir: string): void {
  const settings = shellEnvironment(readStack(localDir).endpoints, findSystemFile(localDir));
  for (const [name, value] of Object.entries(settings))
    console.log(`export ${name}='${value.replaceAll("'", `'\\''`)}'`);
}

async function printStatus(localDir: string, options: { json: boolean }): Promise<boolean> {
  const file = findStackFile(localDir);
  if (file === null || !isAlive(file.supervisor)) {
    console.log(
      options.json
        ? JSON.stringify({ phase: 'down', localDir, components: [], processes: [] })
        : `No local stack is running in ${localDir}: start it with "npm run up", or everything with "npm start -- --keep".`,
    );
    return false;
  }
  const [components, processes] = await Promise.all([checkComponents(file), checkProcesses(findSystemFile(localDir))]);
  const { phase, startedAt } = file;
  console.log(
    options.json
      ? JSON.stringify({ phase, localDir, startedAt, components, processes }, null, 2)
      : `${phase} since ${startedAt}\n\n${describeStatus(components)}\n\n${describeProcesses(processes)}`,
  );
  return (
    phase === 'ready' &&
    components.every(({ state }) => state === 'healthy') &&
    processes.every(({ state }) => state === 'ready')
  );
}

try {
  const { values } = parseArgs({
    options: { json: { type: 'boolean', default: false }, env: { type: 'boolean', default: false } },
  });
  const localDir = defaultLocalDir();
  if (values.env) printEnvironment(localDir);
  else process.exitCode = (await printStatus(localDir, values)) ? 0 : 1;
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
