// `ops pause | resume | scale | replay`: acts on one consumer group.
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import type { ConsumerGroupName } from '#schemas/topics.ts';
import { groupsOfCatalogue, openCluster } from '../cluster/cluster.ts';
import { clusterConfig } from '../cluster/cluster-config.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parseCount, parseInstant, parsePartitions, parseReason } from '../command-line/option-values.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import { pauseGroup, resumeGroup } from './pause-group.ts';
import type { ReplayStart } from './plan-replay.ts';
import { applyReplay, findReplay, formatReplay } from './replay-group.ts';
import { scaleLocally } from './scale-group.ts';

const groupNames = groupsOfCatalogue.map(({ group }) => group);

/** `earliest`, an offset such as `4711`, or a time. */
export function parseReplayStart(text: string): ReplayStart {
  if (text === 'earliest') return { kind: 'earliest' };
  if (/^\d{1,18}$/.test(text)) return { kind: 'offset', offset: BigInt(text) };
  try {
    return { kind: 'time', time: parseInstant(text) };
  } catch {
    throw new InvalidArgumentError(
      'expected "earliest", an offset such as 4711, a time with its zone such as 2026-01-05T14:00:00Z, or a day',
    );
  }
}

type ReplayArguments = {
  group: ConsumerGroupName;
  from: ReplayStart;
  partitions?: number[];
  allowSkip: boolean;
  dryRun: boolean;
  yes: boolean;
  json: boolean;
  because?: string;
};

export function addGroupCommands(program: Command, line: CommandLine): void {
  const groupArgument = (): Argument => new Argument('<group>', 'a consumer group').choices(groupNames);

  program
    .command('pause')
    .description('stop a group from writing; its processes stay and nothing is lost')
    .addArgument(groupArgument())
    .requiredOption('--because <text>', 'why, for the audit log and whoever looks next', parseReason)
    .option('--json', 'one JSON object', false)
    .action(async (group: ConsumerGroupName, options: { because: string; json: boolean }) => {
      await using resources = new AsyncDisposableStack();
      const cluster = openCluster(line.settingsOf(clusterConfig), resources);
      await pauseGroup(cluster, { group, actor: line.actor, because: options.because });
      line.print(
        options.json
          ? toJson({ group, paused: true })
          : `${group} is paused: nothing of it commits until "ops resume ${group}"`,
      );
    });

  program
    .command('resume')
    .description('let a paused group go on from where it was')
    .addArgument(groupArgument())
    .option('--because <text>', 'why, for the audit log', parseReason)
    .option('--json', 'one JSON object', false)
    .action(async (group: ConsumerGroupName, options: { because?: string; json: boolean }) => {
      await using resources = new AsyncDisposableStack();
      const cluster = openCluster(line.settingsOf(clusterConfig), resources);
      await resumeGroup(cluster, { group, actor: line.actor, because: options.because ?? null });
      line.print(
        options.json ? toJson({ group, paused: false }) : `${group} goes on; its members notice within seconds`,
      );
    });

  program
    .command('scale')
    .description('set the number of members of a group of the local system')
    .addArgument(groupArgument())
    .argument('<count>', 'members that run afterwards', parseCount)
    .option('--json', 'one JSON array', false)
    .action(async (name: ConsumerGroupName, count: number, options: { json: boolean }) => {
      const members = await scaleLocally(line.environment, { name, count });
      const table = formatTable(
        ['member', 'pid', 'health and metrics'],
        members.map((member) => [member.name, member.pid, member.url]),
      );
      if (options.json) line.print(toJson(members));
      else line.print(members.length === 0 ? `no member of ${name} runs` : table);
    });

  const replayCommand = program.command('replay');
  replayCommand
    .description('let a group read records again; running members follow')
    // Needed, but not by the command below this one: commander would ask for them there too.
    .addOption(new Option('--group <name>', 'the group (needed)').choices(groupNames))
    .option(
      '--from <where>',
      '"earliest", an offset, or a time (broker time, as the records were appended) (needed)',
      parseReplayStart,
    )
    .option('--partitions <list>', 'only these partitions, such as 3 or 0,4,7', parsePartitions)
    .option('--allow-skip', 'also move forward, past records that the group has not read', false)
    .option('--because <text>', 'why, for the audit log', parseReason)
    .option('--dry-run', 'only show what would be done', false)
    .option('--yes', 'do it without asking', false)
    .option('--json', 'one JSON object', false)
    .action(async (options: ReplayArguments) => {
      const { group, from: start, allowSkip, partitions } = options;
      if (group === undefined) replayCommand.error("error: required option '--group <name>' not specified");
      if (start === undefined) replayCommand.error("error: required option '--from <where>' not specified");
      if (start.kind === 'offset' && partitions?.length !== 1)
        throw new InvalidArgumentError('an offset means one partition: say which with --partitions');
      await using resources = new AsyncDisposableStack();
      const cluster = openCluster(line.settingsOf(clusterConfig), resources);
      const replay = { group, start, allowSkip, ...(partitions === undefined ? {} : { partitions }) };
      const plan = await findReplay(cluster, replay);
      if (!options.json) line.print(formatReplay(group, plan));
      const mayApply = !options.dryRun && plan.problems.length === 0;
      if (mayApply) {
        await line.confirm(group, options);
        await applyReplay(cluster, { ...replay, actor: line.actor, because: options.because ?? null }, plan);
      }
      if (plan.problems.length > 0) line.reportProblems();
      if (options.json) line.print(toJson({ group, ...plan, applied: mayApply }));
      else line.print(mayApply ? 'done' : 'nothing was done');
    });
}
