// `npm run planner`: the inference process and the planner service beside a local system, until Ctrl-C or SIGTERM.
import { Command } from 'commander';
import { defaultLocalDir } from '../local/local-dir.ts';
import { describeError, StackError } from '../local/stack-error.ts';
import { findStack } from '../local/stack-file.ts';
import { startPlanner } from './planner.ts';
import { findSystemFile } from './system-file.ts';

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];
const options = new Command('npm run planner --')
  .description('Serve plans by models and rules beside a local system (npm start -- --keep)')
  .option(
    '--model <version>',
    'model version to load at the start, such as planner_model/3; may be repeated',
    collect,
    [],
  )
  .option('--shadow <version>', 'model version that plans the same requests without its plans being used')
  .option('--policy <name>', 'policy whose versions make the plans', 'planner')
  .parse()
  .opts<{ model: readonly string[]; shadow?: string; policy: string }>();

const stopped = Promise.withResolvers<void>();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.resolve());

try {
  const localDir = defaultLocalDir();
  const stack = findStack(localDir);
  const system = findSystemFile(localDir);
  if (stack === null || system === null) {
    throw new StackError(
      'No local system runs: start one with "npm run up -- --profile ml" and "npm start -- --keep".',
    );
  }
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined);
  await using planner = await startPlanner({
    endpoints: stack.endpoints,
    localDir,
    assignmentUrl: system.processes['assignment-service']!.url,
    ingestionUrl: system.processes['ingestion-service']!.url,
    models: options.model,
    overrides: {
      POLICY_NAME: options.policy,
      ...(options.shadow === undefined ? {} : { SHADOW_MODEL: options.shadow }),
    },
    onProgress: (text) => process.stderr.write(`${text}\n`),
    onUnexpectedEnd: (message) => failed.reject(new StackError(message)),
  });
  process.stdout.write(`planner-service    ${planner.service.url}\nplanner-inference  ${planner.inference.url}\n`);
  process.stderr.write('Ctrl-C stops both.\n');
  await Promise.race([stopped.promise, failed.promise]);
  process.stderr.write('stopping\n');
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = 1;
}
process.exit();
