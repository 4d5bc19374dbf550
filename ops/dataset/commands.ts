// `ops dataset build | list | show | diff`.
import { fileURLToPath } from 'node:url';
import { Argument, type Command, Option } from 'commander';
import { plannerModelName } from '#domain/dataset/planner-dataset.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parseInstant, refuseEmptyWindow } from '../command-line/option-values.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import { runJob } from '../command-line/run-job.ts';
import { addQueueOptions, type QueueOptions, refuseQueueOptions, submitAndReport } from '../jobs/queue-option.ts';
import { compareDatasets, describeDataset } from './compare-datasets.ts';
import { getDataset, listDatasets } from './find-dataset.ts';
import { withDatasetPool } from './with-dataset-pool.ts';

const buildJob = fileURLToPath(new URL('../../workers/dataset-build/main.ts', import.meta.url));

type BuildOptions = QueueOptions & { from?: Date; to?: Date; labelCutoff?: Date; json: boolean };
type Built = {
  datasetVersion: string;
  objectKey: string;
  rowCount: number;
  alreadyExisted: boolean;
  mlflowRunId: string | null;
};

export function addDatasetCommands(program: Command, commandLine: CommandLine): void {
  const { print, environment } = commandLine;
  const withPool = <T>(work: (pool: Pool) => Promise<T>): Promise<T> => withDatasetPool(commandLine, work);
  const dataset = program.command('dataset').description('versions of the training data');

  addQueueOptions(dataset.command('build'))
    .description('freeze the training rows into a dataset version (the same rows give the same version)')
    .addArgument(new Argument('<model>').choices([plannerModelName]))
    .addOption(new Option('--from <time>', 'only plans generated from this time on').argParser(parseInstant))
    .addOption(new Option('--to <time>', 'only plans generated before this time').argParser(parseInstant))
    .addOption(
      new Option('--label-cutoff <time>', 'leave out what happened from this time on (default: now)').argParser(
        parseInstant,
      ),
    )
    .option('--json', 'one JSON object', false)
    .action(async (model: string, { from, to, labelCutoff, json, ...queueOptions }: BuildOptions) => {
      refuseQueueOptions(queueOptions);
      refuseEmptyWindow({ from, to });
      if (queueOptions.queue) {
        const times = { from, to, 'label-cutoff': labelCutoff };
        const given = Object.entries(times).flatMap(([name, time]) =>
          time === undefined ? [] : [[name, time.toISOString()] as const],
        );
        const request = {
          kind: 'dataset-build',
          given: { model, ...Object.fromEntries(given) },
          key: queueOptions.key,
        };
        return submitAndReport(commandLine, request, { ...queueOptions, json });
      }
      const built = await runJob<Built>(buildJob, {
        ...environment,
        DATASET_MODEL: model,
        ...(from === undefined ? {} : { DATASET_FROM: from.toISOString() }),
        ...(to === undefined ? {} : { DATASET_TO: to.toISOString() }),
        ...(labelCutoff === undefined ? {} : { DATASET_LABEL_CUTOFF: labelCutoff.toISOString() }),
      });
      if (json) return print(toJson(built));
      print(`dataset ${built.datasetVersion} ${built.alreadyExisted ? 'was already there' : 'is built'}`);
      print(`${built.rowCount} rows at ${built.objectKey}`);
      print(built.mlflowRunId === null ? 'not logged: MLFLOW_URL is not set' : `MLflow run ${built.mlflowRunId}`);
    });

  dataset
    .command('list')
    .description('dataset versions, the newest first')
    .option('--json', 'one JSON object', false)
    .action(({ json }: { json: boolean }) =>
      withPool(async (pool) => {
        const datasets = await listDatasets(pool);
        if (json) return print(toJson({ datasets }));
        const rows = datasets.map((found) => [
          found.datasetVersion.slice(0, 12),
          found.createdAt,
          found.rowCount,
          found.labelCutoff,
          found.objectKey,
        ]);
        print(formatTable(['version', 'built', 'rows', 'label cut-off', 'training file'], rows));
      }),
    );

  dataset
    .command('show')
    .description('what is in a dataset and where it came from')
    .argument('<version>', 'the version or its first digits')
    .option('--json', 'its manifest as one JSON object', false)
    .action((version: string, { json }: { json: boolean }) =>
      withPool(async (pool) => {
        const found = await getDataset(pool, version);
        if (json) return print(toJson(found.manifest));
        print(`dataset ${found.datasetVersion}`);
        print(`training file ${found.objectKey}, MLflow run ${found.mlflowRunId ?? '(none)'}`);
        print(formatTable(['', ''], [...describeDataset(found.manifest)]));
      }),
    );

  dataset
    .command('diff')
    .description('what differs between two datasets')
    .argument('<a>', 'a version or its first digits')
    .argument('<b>', 'another one')
    .option('--json', 'one JSON object', false)
    .action((a: string, b: string, { json }: { json: boolean }) =>
      withPool(async (pool) => {
        const differences = compareDatasets((await getDataset(pool, a)).manifest, (await getDataset(pool, b)).manifest);
        if (json) return print(toJson({ differences }));
        if (differences.length === 0) return print('the datasets are the same');
        print(
          formatTable(
            ['', a, b],
            differences.map(({ what, ...values }) => [what, values.a, values.b]),
          ),
        );
      }),
    );
}
