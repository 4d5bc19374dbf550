// `npm run up`: starts the local stack in the background and returns when every component is healthy; `--profile ml` adds MLflow, Redis and Prefect.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Profile, profiles } from './component.ts';
import { selectComponents } from './components.ts';
import { cleanUp } from './leftovers.ts';
import { defaultLocalDir } from './local-dir.ts';
import { describeError, StackError } from './stack-error.ts';
import { findStack, readStack, type StackFile } from './stack-file.ts';
import { describeEndpoints } from './status-report.ts';
import type { SupervisorMessage } from './supervisor.ts';

const supervisorFile = fileURLToPath(new URL('supervisor.ts', import.meta.url));

function startSupervisor(localDir: string, wanted: readonly Profile[]): Promise<SupervisorMessage> {
  mkdirSync(join(localDir, 'logs'), { recursive: true });
  const log = openSync(join(localDir, 'logs', 'supervisor.log'), 'a');
  const supervisor = spawn(process.execPath, [...process.execArgv, supervisorFile, localDir, ...wanted], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  closeSync(log);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      console.error('interrupted: stopping what was started');
      supervisor.kill('SIGTERM');
    });
  }
  return new Promise((resolve) => {
    supervisor.on('message', (message: SupervisorMessage) => {
      if (message.kind === 'progress') return console.log(message.text);
      resolve(message);
      if (supervisor.connected) supervisor.disconnect();
      supervisor.unref();
    });
    supervisor.on('error', (error) => resolve({ kind: 'failed', text: error.message }));
    supervisor.on('exit', (code, signal) =>
      resolve({ kind: 'failed', text: `The stack did not start (${signal ?? `exit code ${code}`}).` }),
    );
  });
}

function parseProfiles(): Profile[] {
  const { values } = parseArgs({ options: { profile: { type: 'string', multiple: true, default: [] } } });
  return values.profile.map((name) => {
    const profile = profiles.find((known) => known === name);
    if (profile === undefined) throw new StackError(`There is no profile ${name}: known are ${profiles.join(', ')}.`);
    return profile;
  });
}

function refuseMissing({ components }: StackFile, wanted: readonly Profile[]): void {
  const missing = selectComponents(wanted).filter(({ name }) => !(name in components));
  if (missing.length === 0) return;
  const titles = missing.map(({ title }) => title).join(', ');
  throw new StackError(
    `The stack that runs does not have ${titles}: stop it with "npm run down" and start it again with this profile.`,
  );
}

const localDir = defaultLocalDir();
try {
  const wanted = parseProfiles();
  const known = findStack(localDir);
  if (known !== null) {
    refuseMissing(known, wanted);
    console.log(`Already running since ${known.startedAt}.\n${describeEndpoints(known)}`);
  } else {
    const outcome = await startSupervisor(localDir, wanted);
    if (outcome.kind === 'failed') {
      await cleanUp(localDir);
      console.error(outcome.text);
      process.exitCode = 1;
    } else {
      console.log(`\n${describeEndpoints(readStack(localDir))}`);
    }
  }
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
// Signal handlers and the channel to the supervisor must not keep this process.
process.exit();
