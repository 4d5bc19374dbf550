// Every command of the operators' command line, in the groups that its help shows.
import { Command } from 'commander';
import { addDefinitionCommands } from './apply/commands.ts';
import { addArchiveCommands } from './archive/commands.ts';
import { addAssignmentCommands } from './assignments/commands.ts';
import { addClusterCommands } from './cluster/commands.ts';
import type { CommandLine } from './command-line/command-line.ts';
import { addDatasetCommands } from './dataset/commands.ts';
import { addDeadLetterCommands } from './dead-letters/commands.ts';
import { addDeployCommands } from './deploy-commands.ts';
import { addExperimentCommands } from './experiments/commands.ts';
import { addGroupCommands } from './groups/commands.ts';
import { addGuardrailCommands } from './guardrails/commands.ts';
import { addJobCommands } from './jobs/commands.ts';
import { addKeyCommands } from './keys/commands.ts';
import { addLineageCommand } from './lineage/commands.ts';
import { addMetabaseCommands } from './metabase/commands.ts';
import { addOffPolicyCommands } from './off-policy/commands.ts';
import { addOfflineReplayCommands } from './offline-replay/commands.ts';
import { addPolicyCommands } from './policies/commands.ts';
import { addModelCommands, addPromotionCommands } from './promotion/commands.ts';
import { addRebuildCommands } from './rebuild/commands.ts';
import { addReconcileCommand } from './reconcile/commands.ts';
import { addResultsCommands } from './results/commands.ts';
import { addUpkeepCommand } from './upkeep/commands.ts';

/** @param program Its settings, such as how it ends, are those of every command. */
export function createProgram(line: CommandLine, program: Command = new Command('ops')): Command {
  program.description('Operate Trialstream').showHelpAfterError();
  program.commandsGroup('How it is:');
  addClusterCommands(program, line);
  program.commandsGroup('Consumer groups and their records:');
  addGroupCommands(program, line);
  addDeadLetterCommands(program, line);
  program.commandsGroup('What is stored:');
  addArchiveCommands(program, line);
  addRebuildCommands(program, line);
  addReconcileCommand(program, line);
  addUpkeepCommand(program, line);
  addJobCommands(program, line);
  program.commandsGroup('Experiments and policies:');
  addDefinitionCommands(program, line);
  addExperimentCommands(program, line);
  addResultsCommands(program, line);
  addGuardrailCommands(program, line);
  addOffPolicyCommands(program, line);
  addPolicyCommands(program, line);
  addAssignmentCommands(program, line);
  addDatasetCommands(program, line);
  addOfflineReplayCommands(program, line);
  addPromotionCommands(program, line);
  addModelCommands(program, line);
  addLineageCommand(program, line);
  program.commandsGroup('Releases and access:');
  addDeployCommands(program, line);
  addKeyCommands(program, line);
  addMetabaseCommands(program, line);
  return program;
}
