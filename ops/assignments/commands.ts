// `ops assignments rebuild | reconcile`.
import type { Command } from 'commander';
import { type Cluster, openCluster } from '../cluster/cluster.ts';
import { clusterConfig } from '../cluster/cluster-config.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parsePositiveInteger } from '../command-line/option-values.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import { loadErasedUnits } from '../rebuild/load-erased-units.ts';
import { type AssignmentTopic, readAssignmentTopic } from './read-assignment-topic.ts';
import { rebuildAssignments } from './rebuild-assignments.ts';
import { reconcileAssignments } from './reconcile-assignments.ts';

const readTopicOf = ({ kafka, registry, topicName }: Cluster): Promise<AssignmentTopic> =>
  readAssignmentTopic({ kafka, registry, topic: topicName('assignments') });

export function addAssignmentCommands(program: Command, commandLine: CommandLine): void {
  const { print, note, reportProblems, settingsOf } = commandLine;
  const assignments = program
    .command('assignments')
    .description('stored assignments and the topic they are published to');
  const withCluster = async (work: (cluster: Cluster) => Promise<void>): Promise<void> => {
    await using resources = new AsyncDisposableStack();
    await work(openCluster(settingsOf(clusterConfig), resources));
  };

  assignments
    .command('rebuild')
    .description('fill an empty exp.assignments from the compacted topic')
    .option('--json', 'one JSON object', false)
    .action(({ json }: { json: boolean }) =>
      withCluster(async (cluster) => {
        const erased = await loadErasedUnits(cluster.pool, cluster.erasureKey);
        const topic = await readTopicOf(cluster);
        note(
          `${cluster.topicName('assignments')}: ${topic.recordCount} records, ${topic.assignments.size} assignments`,
        );
        const result = await rebuildAssignments(cluster.pool, topic, erased);
        print(
          json
            ? toJson(result)
            : `restored ${result.restored} assignments, left out ${result.erased} of erased units; the outbox goes on above revision ${result.highestRevision}`,
        );
      }),
    );

  assignments
    .command('reconcile')
    .description('compare database, topic and hash row by row; exit code 1 when they differ')
    .option('--limit <rows>', 'differences to print', parsePositiveInteger, 50)
    .option('--json', 'one JSON object with every difference', false)
    .action(({ limit, json }: { limit: number; json: boolean }) =>
      withCluster(async (cluster) => {
        const result = await reconcileAssignments(cluster.pool, () => readTopicOf(cluster));
        const { rowCount, recordCount, differences, inMotion } = result;
        if (differences.length > 0) reportProblems();
        if (json) return print(toJson(result));
        print(
          `database ${rowCount} rows, topic ${recordCount} assignments: ${differences.length} differences, ${inMotion} on their way`,
        );
        if (differences.length === 0) return;
        const rows = differences
          .slice(0, limit)
          .map(({ kind, experimentId, unitId, detail }) => [kind, experimentId, unitId, detail]);
        print(formatTable(['difference', 'experiment', 'unit', 'detail'], rows));
        if (differences.length > limit) print(`and ${differences.length - limit} more: --limit, or --json for all`);
      }),
    );
}
