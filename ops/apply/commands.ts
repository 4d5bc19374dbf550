// `ops apply` and `ops export`: definitions of experiments, policies and metrics as YAML files.
import type { Command } from 'commander';
import { renderEditorSchema } from '#domain/definitions/editor-schema.ts';
import { formatProblem, type LocatedProblem } from '#domain/definitions/yaml-source.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parseReason } from '../command-line/option-values.ts';
import { toJson } from '../command-line/output.ts';
import { applyDefinitions } from './apply-definitions.ts';
import { exportDefinitions } from './export-definitions.ts';
import { withDefinitions } from './open-definitions.ts';
import { formatPlan } from './plan-items.ts';
import { readDefinitionFiles } from './read-files.ts';

type ApplyOptions = { dryRun: boolean; reason?: string; json: boolean };

async function runApply(paths: readonly string[], options: ApplyOptions, commandLine: CommandLine): Promise<void> {
  const { print, note, reportProblems, actor } = commandLine;
  const reportInvalid = (problems: readonly LocatedProblem[]): void => {
    if (options.json) print(toJson({ status: 'invalid', problems }));
    else for (const problem of problems) print(formatProblem(problem));
    note(`${problems.length} problem${problems.length === 1 ? '' : 's'}: nothing was planned or applied`);
    reportProblems();
  };
  const read = await readDefinitionFiles(paths);
  if (!read.ok) return reportInvalid(read.problems);
  const outcome = await withDefinitions(commandLine, (definitions) =>
    applyDefinitions({
      ...definitions,
      files: read.files,
      author: { actor, reason: options.reason ?? `applied ${paths.join(', ')}` },
      dryRun: options.dryRun,
    }),
  );
  if (outcome.status === 'invalid') return reportInvalid(outcome.problems);
  print(options.json ? toJson(outcome) : formatPlan(outcome.items));
  if (outcome.status === 'refused') {
    note('nothing was applied, because a part of the plan is refused');
    reportProblems();
  } else if (outcome.items.every(({ action }) => action === 'unchanged'))
    note('everything is as the files say already');
  else note(outcome.status === 'planned' ? 'dry run: nothing was applied' : 'applied');
}

export function addDefinitionCommands(program: Command, commandLine: CommandLine): void {
  program
    .command('apply')
    .description('bring experiments, policies and metrics to what the files say, all of it or nothing')
    .argument('<files...>', 'YAML files with experiments, policies and metrics')
    .option('--dry-run', 'print the plan and change nothing', false)
    .option('--reason <text>', 'why, for the history', parseReason)
    .option('--json', 'one JSON object', false)
    .action((paths: string[], options: ApplyOptions) => runApply(paths, options, commandLine));

  program
    .command('export-schema')
    .description('print the JSON Schema of definition files, for editors')
    .action(() => commandLine.print(renderEditorSchema().trimEnd()));

  program
    .command('export')
    .description('print the stored experiments, policies and metrics as YAML that apply accepts')
    .option('--only <part>', 'experiments, policies or metrics')
    .action((options: { only?: string }) =>
      withDefinitions(commandLine, async ({ pool }) => {
        commandLine.print((await exportDefinitions(pool, options.only)).trimEnd());
      }),
    );
}
