// `ops archive verify | compact`.
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { FatalError } from '#platform/errors.ts';
import { openArchiveCluster } from '../cluster/cluster.ts';
import { archiveConfig } from '../cluster/cluster-config.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parseDay, refuseEmptyWindow } from '../command-line/option-values.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import { runJob } from '../command-line/run-job.ts';
import { addQueueOptions, type QueueOptions, refuseQueueOptions, submitAndReport } from '../jobs/queue-option.ts';
import { formatArchiveReport, verifyArchive } from './verify-archive.ts';

type VerifyArguments = { content: boolean; events: boolean; from: string; to: string; json: boolean };

const compactionJob = fileURLToPath(new URL('../../workers/compaction/main.ts', import.meta.url));

type CompactionResult = Readonly<Record<string, unknown>>;
type PlannedUnit = { kind: string; dt: string; hour: number; objects: number; rows: number };

function formatCompaction(result: CompactionResult): string {
  const units = result.units as PlannedUnit[] | undefined;
  if (units === undefined) {
    const { files, replacedObjects, rows, duplicates, erasedUnits, expiredObjects, removedObjects } = result;
    return [
      `${files} files written in place of ${replacedObjects} objects: ${rows} rows, ${duplicates} repeats left out, ${erasedUnits} erased units`,
      `${expiredObjects} objects expired, ${removedObjects} replaced or expired objects removed`,
    ].join('\n');
  }
  const table = formatTable(
    ['hour', 'what', 'objects', 'rows'],
    units.map(({ kind, dt, hour, objects, rows }) => [
      `${dt} ${String(hour).padStart(2, '0')}`,
      kind === 'merge' ? 'one file' : 'look for erased units',
      objects,
      rows,
    ]),
  );
  const counts = `${result.expirableObjects} objects to expire, ${result.removableObjects} replaced objects to remove; nothing was done (dry run)`;
  return units.length === 0 ? `no hour to compact; ${counts}` : [table, '', counts].join('\n');
}

export function addArchiveCommands(program: Command, line: CommandLine): void {
  const group = program.command('archive').description('the archive of all events in the object store');

  group
    .command('verify')
    .description('manifest, positions and objects against each other; more with the options')
    .option('--content', 'read every object: its hash and its rows', false)
    .option('--events', 'compare with exp.events by identity', false)
    .option('--from <day>', 'with --events: first event day', parseDay, '2000-01-01')
    .option('--to <day>', 'with --events: the day after the last one', parseDay, '2200-01-01')
    .option('--json', 'one JSON object', false)
    .action(async (options: VerifyArguments) => {
      if (options.events) refuseEmptyWindow(options);
      await using resources = new AsyncDisposableStack();
      const cluster = openArchiveCluster(line.settingsOf(archiveConfig), resources);
      const events = options.events ? { from: options.from, to: options.to } : null;
      const report = await verifyArchive(cluster, { content: options.content, events, onProgress: line.note });
      line.print(options.json ? toJson(report) : formatArchiveReport(report));
      if (report.problems.length > 0) line.reportProblems();
    });

  addQueueOptions(group.command('compact'))
    .description('one sorted file per closed hour, erased units out, replaced objects removed; safe to stop and repeat')
    .option('--dry-run', 'only show what would be done', false)
    .option('--json', 'one JSON object', false)
    .action(async (options: QueueOptions & { dryRun: boolean; json: boolean }) => {
      refuseQueueOptions(options);
      if (options.queue && options.dryRun)
        throw new FatalError('a dry run is not queued: give --dry-run or --queue', { code: 'config-invalid' });
      if (options.queue) return submitAndReport(line, { kind: 'compaction', given: {}, key: options.key }, options);
      const result = await runJob<CompactionResult>(
        compactionJob,
        { ...line.environment },
        options.dryRun ? ['--dry-run'] : [],
      );
      line.print(options.json ? toJson(result) : formatCompaction(result));
    });
}
