// The operators' command line: settings, output and the exit code; its commands are in program.ts.
import { userInfo } from 'node:os';
import {
  type ConfigSchema,
  formatProblems,
  listSettings,
  parseSettings,
  type SettingsOf,
  type SettingsShape,
} from '#platform/config/settings.ts';
import { describeError } from '#platform/errors.ts';
import type { CommandLine } from './command-line/command-line.ts';
import { confirmByName } from './command-line/confirmation.ts';
import { createProgram } from './program.ts';

/** For whoever has configured nothing at all, before the list of what is missing. */
const nothingConfigured =
  'ops: nothing says which system to work on: "npm start -- --keep" or "npm run up" starts a local one, which "npm run -s ops -- ..." ' +
  'finds by itself; for another one set what is listed here, as in config/ops-*.reference.env';

/** Settings of a command from the environment; all problems are printed at once and the exit code is 2. */
function settingsOf<S extends SettingsShape>(schema: ConfigSchema<S>): SettingsOf<S> {
  const parsed = parseSettings(schema, process.env);
  if (parsed.ok) return parsed.settings;
  const isAnythingGiven = listSettings(schema.shape).some(({ name }) => (process.env[name] ?? '') !== '');
  if (!isAnythingGiven) process.stderr.write(`${nothingConfigured}\n`);
  process.stderr.write(`ops: ${formatProblems(parsed.problems)}\n`);
  process.exit(2);
}

const commandLine: CommandLine = {
  settingsOf,
  environment: process.env,
  print: (text) => void process.stdout.write(`${text}\n`),
  note: (text) => void process.stderr.write(`${text}\n`),
  reportProblems: () => {
    process.exitCode = 1;
  },
  confirm: (name, { yes }) => confirmByName(name, { yes, input: process.stdin, output: process.stderr }),
  actor: process.env.OPS_ACTOR ?? process.env.USER ?? userInfo().username,
};

// `ops … | head` closes the pipe when it has read enough; what the command does is finished all the same.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

try {
  await createProgram(commandLine).parseAsync();
} catch (error) {
  process.stderr.write(`ops: ${describeError(error)}\n`);
  process.exitCode = 1;
}
