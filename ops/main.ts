// The operators' command line: one file per command, read-only unless its name says otherwise.
import { userInfo } from 'node:os';
import { Command } from 'commander';
import {
  type ConfigSchema,
  formatProblems,
  listSettings,
  parseSettings,
  type SettingsOf,
  type SettingsShape,
} from '#platform/config/settings.ts';
import { describeError } from '#platform/errors.ts';
import { createLogger } from '#platform/telemetry/logger.ts';
import { addDefinitionCommands } from './apply/commands.ts';
import { addArchiveCommands } from './archive/commands.ts';
import { addAssignmentCommands } from './assignments/commands.ts';
import { addClusterCommands } from './cluster/commands.ts';
import type { CommandLine } from './command-line/command-line.ts';
import { confirmByName } from './command-line/confirmation.ts';
import { addDatasetCommands } from './dataset/commands.ts';
import { addDeadLetterCommands } from './dead-letters/commands.ts';
import { applyCatalogue, applyMigrations, registerSchemas } from './deploy.ts';
import { deployConfig } from './deploy-config.ts';
import { addExperimentCommands } from './experiments/commands.ts';
import { addGroupCommands } from './groups/commands.ts';
import { addGuardrailCommands } from './guardrails/commands.ts';
import { addKeyCommands } from './keys/commands.ts';
import { addOffPolicyCommands } from './off-policy/commands.ts';
import { addPolicyCommands } from './policies/commands.ts';
import { addRebuildCommands } from './rebuild/commands.ts';
import { addReconcileCommand } from './reconcile/commands.ts';
import { addResultsCommands } from './results/commands.ts';
import { addUpkeepCommand } from './upkeep/commands.ts';

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

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const program = new Command('ops').description('Operate Trialstream').showHelpAfterError();

program
  .command('deploy')
  .description('bring database, topics and schemas to this release (safe to repeat)')
  .action(async () => {
    const config = settingsOf(deployConfig);
    const log = createLogger({ service: 'ops', level: config.telemetry.logLevel });
    const applied = await applyMigrations(config);
    print(applied.length === 0 ? 'migrations: up to date' : `migrations: applied ${applied.join(', ')}`);
    const { created, differences } = await applyCatalogue(config, log);
    print(created.length === 0 ? 'topics: all exist' : `topics: created ${created.join(', ')}`);
    for (const { topic, setting, found, expected } of differences)
      print(`topics: ${topic} has ${setting}=${found}, the catalogue says ${expected}`);
    for (const { subject, id } of await registerSchemas(config)) print(`schemas: ${subject} has id ${id}`);
  });

program
  .command('migrate')
  .description('apply the migrations only')
  .action(async () => {
    const applied = await applyMigrations(settingsOf(deployConfig));
    print(applied.length === 0 ? 'migrations: up to date' : `migrations: applied ${applied.join(', ')}`);
  });

const commandLine: CommandLine = {
  settingsOf,
  environment: process.env,
  print,
  note: (text) => void process.stderr.write(`${text}\n`),
  reportProblems: () => {
    process.exitCode = 1;
  },
  confirm: (name, { yes }) => confirmByName(name, { yes, input: process.stdin, output: process.stderr }),
  actor: process.env.OPS_ACTOR ?? process.env.USER ?? userInfo().username,
};
addClusterCommands(program, commandLine);
addGroupCommands(program, commandLine);
addDeadLetterCommands(program, commandLine);
addArchiveCommands(program, commandLine);
addRebuildCommands(program, commandLine);
addReconcileCommand(program, commandLine);
addUpkeepCommand(program, commandLine);
addDefinitionCommands(program, commandLine);
addExperimentCommands(program, commandLine);
addResultsCommands(program, commandLine);
addOffPolicyCommands(program, commandLine);
addGuardrailCommands(program, commandLine);
addPolicyCommands(program, commandLine);
addKeyCommands(program, commandLine);
addAssignmentCommands(program, commandLine);
addDatasetCommands(program, commandLine);

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`ops: ${describeError(error)}\n`);
  process.exitCode = 1;
}
