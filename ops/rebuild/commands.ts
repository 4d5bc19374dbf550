// `ops rebuild postgres --from-archive | manifest --from-objects`.
import { type Command, Option } from 'commander';
import { FatalError } from '#platform/errors.ts';
import { openArchiveCluster } from '../cluster/cluster.ts';
import { archiveConfig } from '../cluster/cluster-config.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import { findRebuild, formatRebuildPlan, type RebuildableGroup, rebuildableGroups } from './find-rebuild.ts';
import { formatGap, recoverManifest } from './recover-manifest.ts';
import { type GroupReport, rebuildGroupFromArchive, restoreArchiverPositions } from './run-rebuild.ts';

type RebuildArguments = { group: RebuildableGroup[]; dryRun: boolean; yes: boolean; json: boolean };

const formatReports = (reports: readonly GroupReport[]): string =>
  formatTable(
    ['group', 'records', 'written', 'duplicates', 'refused'],
    reports.map(({ groupId, records, written, duplicates, rejected }) => [
      groupId,
      records,
      written,
      duplicates,
      rejected,
    ]),
  );

export function addRebuildCommands(program: Command, line: CommandLine): void {
  const group = program.command('rebuild').description('bring back what was lost from what is left');

  group
    .command('postgres')
    .description('events, aggregates and training rows from the archive; goes on where it was when it is run again')
    .requiredOption('--from-archive', 'the source; there is no other yet')
    .addOption(
      new Option('--group <names...>', 'only these groups').choices(rebuildableGroups).default(rebuildableGroups),
    )
    .option('--dry-run', 'only show what would be done', false)
    .option('--yes', 'do it without asking', false)
    .option('--json', 'one JSON object', false)
    .action(async (options: RebuildArguments) => {
      await using resources = new AsyncDisposableStack();
      const cluster = openArchiveCluster(line.settingsOf(archiveConfig), resources);
      const plan = await findRebuild(cluster, options.group);
      if (!options.json) line.print(formatRebuildPlan(plan));
      const reports: GroupReport[] = [];
      if (plan.problems.length > 0) line.reportProblems();
      else if (!options.dryRun) {
        await line.confirm('postgres', options);
        for (const { group: name, state } of plan.groups) {
          if (state !== 'done') reports.push(await rebuildGroupFromArchive(name, line.environment));
        }
        await restoreArchiverPositions(cluster);
      }
      if (options.json) line.print(toJson({ ...plan, reports }));
      else if (reports.length > 0) line.print(`\n${formatReports(reports)}`);
      else line.print('nothing was done');
    });

  group
    .command('manifest')
    .description('the empty manifest of the archive from its objects, which say which offsets they hold')
    .requiredOption('--from-objects', 'the source; there is no other')
    .option('--accept-gaps', 'go on although offsets between two objects are in none', false)
    .option('--dry-run', 'only show what would be done', false)
    .option('--json', 'one JSON object', false)
    .action(async (options: { dryRun: boolean; acceptGaps: boolean; json: boolean }) => {
      await using resources = new AsyncDisposableStack();
      const cluster = openArchiveCluster(line.settingsOf(archiveConfig), resources);
      const { segments, compacted, replaced, gaps } = await recoverManifest(cluster, {
        ...options,
        onProgress: line.note,
      });
      if (segments + compacted === 0)
        throw new FatalError(`no object of ${cluster.topicName('events')} in bucket ${cluster.objectStore.bucket}`, {
          code: 'config-invalid',
        });
      if (options.json) return line.print(toJson({ segments, compacted, replaced, gaps, applied: !options.dryRun }));
      line.print(
        [
          `${segments} segments and ${compacted} compacted files${options.dryRun ? '; nothing was done (dry run)' : ' are in the manifest'}`,
          ...gaps.map((gap) => `gap: ${formatGap(gap)}: dead letters only, or lost`),
          ...replaced.map((objectKey) => `replaced by a compacted file, can be deleted: ${objectKey}`),
        ].join('\n'),
      );
    });
}
