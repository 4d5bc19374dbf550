// `ops experiments list | history | republish | start | pause | resume | complete | archive | rollback | restore | promote | coverage`.
import { type Command, InvalidArgumentError } from 'commander';
import { formatBasisPoints, parseBasisPoints } from '#domain/assignment/basis-points.ts';
import type { DefinitionChange } from '#domain/experiment/definition-diff.ts';
import { FatalError } from '#platform/errors.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { toDefinitionDocument } from '#producers/definition-store/definition-document.ts';
import { listDefinitions } from '#producers/definition-store/definition-rows.ts';
import { withDefinitions } from '../apply/open-definitions.ts';
import { formatChange } from '../apply/plan-items.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parsePositiveInteger, parseReason } from '../command-line/option-values.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import { tellAlignment } from '../promotion/tell-alignment.ts';
import { describeEnrolment, describeServing, describeTransition } from './describe-experiment.ts';
import { republishDefinitions } from './republish-definitions.ts';
import { type ExperimentCommand, runExperimentCommand } from './run-command.ts';

type ChangeOptions = { reason: string; expectVersion?: number; winner?: string };

const plainCommands = {
  start: 'start a draft: units are enrolled from now, or from its start time',
  pause: 'stop enrolment; what is assigned stays delivered',
  resume: 'go on with enrolment after a pause',
  archive: 'put a draft or a completed experiment away: nothing is delivered any more',
  rollback: 'stop delivery at once: callers get their default; enrolment goes on',
  restore: 'deliver as assigned again after a rollback or a promotion',
} as const;

function parseShare(text: string): number {
  const parsed = parseBasisPoints(text);
  if (parsed.status === 'refused') throw new InvalidArgumentError(parsed.message);
  return Number(text);
}

async function listHistory(pool: Pool, key: string) {
  const { rows } = await pool.query<{
    iteration: number;
    version: number;
    changed_at: Date;
    changed_by: string;
    reason: string;
    diff: readonly DefinitionChange[];
  }>(
    `SELECT x.iteration, v.version, v.changed_at, v.changed_by, v.reason, v.diff
     FROM exp.experiment_versions v JOIN exp.experiments x ON x.id = v.experiment_id
     WHERE x.key = $1 OR x.id::text = $1 ORDER BY x.iteration, v.version`,
    [key],
  );
  return rows;
}

export function addExperimentCommands(program: Command, commandLine: CommandLine): void {
  const { print, actor } = commandLine;
  const experiments = program
    .command('experiments')
    .description('states of experiments, and commands that change them');

  experiments
    .command('list')
    .description('every iteration of every experiment')
    .option('--json', 'one JSON object', false)
    .action(({ json }: { json: boolean }) =>
      withDefinitions(commandLine, async ({ pool }) => {
        const stored = (await listDefinitions(pool)).map(({ experiment }) => experiment);
        const nowMs = Date.now();
        if (json) {
          const documents = stored.map((experiment) => ({
            ...toDefinitionDocument(experiment),
            enrolment: describeEnrolment(experiment, nowMs),
          }));
          return print(toJson({ experiments: documents }));
        }
        const rows = stored.map((experiment) => [
          experiment.experimentKey,
          experiment.iteration,
          experiment.version,
          experiment.status,
          describeEnrolment(experiment, nowMs),
          describeServing(experiment),
          formatBasisPoints(experiment.coverage),
        ]);
        print(formatTable(['key', 'iteration', 'version', 'status', 'enrolment', 'serving', 'coverage'], rows));
      }),
    );

  experiments
    .command('history')
    .description('every version of an experiment: who changed what, when and why')
    .argument('<key>', 'key, or id of one iteration')
    .option('--json', 'one JSON object', false)
    .action((key: string, { json }: { json: boolean }) =>
      withDefinitions(commandLine, async ({ pool }) => {
        const rows = await listHistory(pool, key);
        if (rows.length === 0) throw new FatalError(`there is no experiment ${key}`, { code: 'config-invalid' });
        if (json) return print(toJson({ versions: rows }));
        const cells = rows.map((row) => [
          row.iteration,
          row.version,
          row.changed_at,
          row.changed_by,
          row.reason,
          row.version === 1 ? 'created' : row.diff.map(formatChange).join('; '),
        ]);
        print(formatTable(['iteration', 'version', 'at', 'by', 'why', 'changed'], cells));
      }),
    );

  experiments
    .command('republish')
    .description('write every definition to the compacted topic again, for a topic that was lost')
    .action(() =>
      withDefinitions(commandLine, async ({ pool }) => {
        const count = await republishDefinitions(pool);
        print(`${count} definitions are in the outbox; the assignment service publishes them`);
      }),
    );

  const addChange = (name: string, description: string): Command =>
    experiments
      .command(name)
      .description(description)
      .argument('<key>', 'key of the current iteration, or id of one')
      .requiredOption('--reason <text>', 'why, for the history', parseReason)
      .option('--expect-version <number>', 'refuse unless it still has this version', parsePositiveInteger);
  const change = (key: string, options: ChangeOptions, command: ExperimentCommand): Promise<void> =>
    withDefinitions(commandLine, async (definitions) => {
      const { before, after, notes, mlflow } = await runExperimentCommand(
        definitions,
        {
          keyOrId: key,
          author: { actor, reason: options.reason },
          ...(options.expectVersion === undefined ? {} : { expectedVersion: options.expectVersion }),
        },
        command,
      );
      print(describeTransition(before, after));
      for (const note of notes) print(`note: ${note}`);
      if (mlflow !== null) tellAlignment(commandLine, mlflow);
    });

  for (const kind of Object.keys(plainCommands) as (keyof typeof plainCommands)[]) {
    addChange(kind, plainCommands[kind]).action((key: string, options: ChangeOptions) =>
      change(key, options, { kind }),
    );
  }
  addChange('complete', 'end the experiment; without a winner, a promoted variant stays delivered, or else nothing is')
    .option('--winner <variant>', 'name or id of the variant that everybody gets from now on')
    .action((key: string, options: ChangeOptions) =>
      change(key, options, { kind: 'complete', winner: options.winner ?? null }),
    );
  addChange('promote', 'deliver one variant to all')
    .argument('<variant>', 'name or id')
    .action((key: string, variant: string, options: ChangeOptions) =>
      change(key, options, { kind: 'promote', variant }),
    );
  addChange('coverage', 'set the share of allocated units that is enrolled; it only grows while the experiment runs')
    .argument('<share>', 'between 0 and 1, at most four decimals', parseShare)
    .action((key: string, share: number, options: ChangeOptions) => change(key, options, { kind: 'coverage', share }));
}
