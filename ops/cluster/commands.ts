// `ops lag | groups | topics | doctor`: how the system is, read-only.
import type { Command } from 'commander';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelRegistry } from '#platform/mlflow/model-registry.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parsePositiveInteger } from '../command-line/option-values.ts';
import { toJson } from '../command-line/output.ts';
import { openArchiveCluster, openCluster } from './cluster.ts';
import { clusterConfig, doctorConfig } from './cluster-config.ts';
import { formatFindings, runDoctor } from './doctor.ts';
import { formatGroups, readGroups } from './groups.ts';
import { formatLag, isBehind, readLag, waitForNoLag } from './lag.ts';
import { formatTopics, readTopics } from './topics.ts';

export function addClusterCommands(program: Command, line: CommandLine): void {
  program
    .command('lag')
    .description('how far each consumer group is behind, in records and seconds')
    .option('--partitions', 'each partition', false)
    .option(
      '--wait <seconds>',
      'until nothing is behind, at most this long; exit code 1 when something still is',
      parsePositiveInteger,
    )
    .option('--json', 'one JSON object', false)
    .action(async (options: { partitions: boolean; wait?: number; json: boolean }) => {
      await using resources = new AsyncDisposableStack();
      const cluster = openCluster(line.settingsOf(clusterConfig), resources);
      const report = await (options.wait === undefined ? readLag(cluster) : waitForNoLag(cluster, options.wait));
      line.print(options.json ? toJson(report) : formatLag(report, options));
      if (options.wait !== undefined && isBehind(report)) line.reportProblems();
    });

  program
    .command('groups')
    .description('members of each consumer group, their hosts and partitions')
    .option('--json', 'one JSON array', false)
    .action(async (options: { json: boolean }) => {
      await using resources = new AsyncDisposableStack();
      const reports = await readGroups(openCluster(line.settingsOf(clusterConfig), resources));
      line.print(options.json ? toJson(reports) : formatGroups(reports));
    });

  program
    .command('topics')
    .description('topics of the catalogue and where the cluster differs ("deploy" creates missing ones)')
    .option('--json', 'one JSON array', false)
    .action(async (options: { json: boolean }) => {
      await using resources = new AsyncDisposableStack();
      const reports = await readTopics(openCluster(line.settingsOf(clusterConfig), resources));
      line.print(options.json ? toJson(reports) : formatTopics(reports));
      if (reports.some(({ exists, differences }) => !exists || differences.length > 0)) line.reportProblems();
    });

  program
    .command('doctor')
    .description('check everything and say what to do')
    .option('--json', 'one JSON array', false)
    .action(async (options: { json: boolean }) => {
      await using resources = new AsyncDisposableStack();
      const config = line.settingsOf(doctorConfig);
      const { url } = config.mlflow;
      const mlflow = url === undefined ? null : createMlflowClient({ url });
      const models = mlflow === null ? null : createModelRegistry(mlflow);
      const findings = await runDoctor({
        ...openArchiveCluster(config, resources),
        mlflow,
        models,
        redisUrl: config.redisUrl,
      });
      line.print(options.json ? toJson(findings) : formatFindings(findings));
      if (findings.some(({ state }) => state === 'problem')) line.reportProblems();
    });
}
