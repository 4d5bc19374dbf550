// `ops upkeep`: what Postgres needs every day.
import type { Command } from 'commander';
import { openArchiveCluster } from '../cluster/cluster.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import { runUpkeep, type UpkeepReport } from './run-upkeep.ts';
import { upkeepConfig } from './upkeep-config.ts';

function formatUpkeep(report: UpkeepReport, options: { dryRun: boolean; retentionDays: number | undefined }): string {
  const { created, dropped, kept, removedLetterActions } = report;
  const would = options.dryRun ? 'would be ' : '';
  const days = formatTable(
    ['event day', 'events', 'what'],
    [
      ...dropped.map(({ day, events }) => [day, events, `${would}dropped`]),
      ...kept.map(({ day, reason }) => [day, null, `kept: ${reason}`]),
    ],
  );
  return [
    created.length === 0
      ? 'tables of the coming days are there'
      : `tables ${would}made for ${created.length} days, ${created[0]} to ${created.at(-1)}`,
    options.retentionDays === undefined
      ? 'event days are kept for ever (EVENT_RETENTION_DAYS is not set)'
      : `event days whose newest event was ingested more than ${options.retentionDays} days ago: ${dropped.length} ${would}dropped, ${kept.length} kept`,
    ...(dropped.length + kept.length > 0 ? [days] : []),
    `${removedLetterActions} actions on expired dead letters ${would}removed`,
  ].join('\n');
}

export function addUpkeepCommand(program: Command, line: CommandLine): void {
  program
    .command('upkeep')
    .description('tables of coming days, retention of event days that the archive has; run it daily')
    .option('--dry-run', 'only show what would be done', false)
    .option('--json', 'one JSON object', false)
    .action(async (options: { dryRun: boolean; json: boolean }) => {
      await using resources = new AsyncDisposableStack();
      const config = line.settingsOf(upkeepConfig);
      const cluster = openArchiveCluster(config, resources);
      const { retentionDays } = config.upkeep;
      const report = await runUpkeep(cluster, { ...config.upkeep, actor: line.actor, dryRun: options.dryRun });
      line.print(options.json ? toJson(report) : formatUpkeep(report, { dryRun: options.dryRun, retentionDays }));
    });
}
