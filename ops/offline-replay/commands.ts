// `ops offline-replay run | list | show`, and `ops replay run` as another name of the first.
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';
import { type ScoreName, scoreNames } from '#domain/offline-evaluation/plan-quality.ts';
import { formatNumber } from '#domain/results/format-results.ts';
import { isComputed } from '#domain/statistics/result.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { parseCount } from '../command-line/option-values.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import { runJob } from '../command-line/run-job.ts';
import { getDataset } from '../dataset/find-dataset.ts';
import { withDatasetPool } from '../dataset/with-dataset-pool.ts';
import { getReplay, listReplays, type StoredDifference, type StoredReplay } from './find-replays.ts';

const replayJob = fileURLToPath(new URL('../../workers/offline-replay/main.ts', import.meta.url));

type RunOptions = { model: string; dataset: string; baseline?: string; seed?: number; json: boolean };
type RunResult = { id: string; stage: string | null; alreadyExisted: boolean };

function parseModelVersion(text: string): string {
  if (!/^.+\/[1-9]\d{0,8}$/.test(text)) {
    throw new InvalidArgumentError('expected a registered model version such as planner_model/3');
  }
  return text;
}

export function addOfflineReplayCommands(program: Command, commandLine: CommandLine): void {
  const { print, environment } = commandLine;
  const withPool = <T>(work: (pool: Pool) => Promise<T>): Promise<T> => withDatasetPool(commandLine, work);

  const addRun = (parent: Command): void => {
    parent
      .command('run')
      .description('plan the test split of a dataset again with a model and a baseline, and let the gate decide')
      .requiredOption('--model <name/version>', 'registered model version, such as planner_model/3', parseModelVersion)
      .requiredOption('--dataset <version>', 'dataset version or its first digits')
      .option(
        '--baseline <name/version>',
        'what it is compared with (default: the rule-based planner of this release)',
        parseModelVersion,
      )
      .option('--seed <number>', 'seed of draws and resamples (default: 1)', parseCount)
      .option('--json', 'one JSON object', false)
      .action(async ({ model, dataset, baseline, seed }: RunOptions, run: Command) => {
        // `replay` has an option of this name too, and then the word is given to that command.
        const { json } = run.optsWithGlobals<RunOptions>();
        await withPool(async (pool) => {
          const { datasetVersion } = await getDataset(pool, dataset);
          const { id, stage, alreadyExisted } = await runJob<RunResult>(replayJob, {
            ...environment,
            REPLAY_MODEL: model,
            REPLAY_DATASET: datasetVersion,
            ...(baseline === undefined ? {} : { REPLAY_BASELINE: baseline }),
            ...(seed === undefined ? {} : { REPLAY_SEED: String(seed) }),
          });
          const replay = await getReplay(pool, id);
          if (json) return print(toJson({ ...replay, stage, alreadyExisted }));
          if (alreadyExisted) print('this replay had been done before: its result');
          printReplay(replay);
          print(`stage of ${replay.model}: ${stage ?? '(none)'}`);
        });
      });
  };

  const printReplay = (replay: StoredReplay): void => {
    print(`replay ${replay.id}: ${replay.verdict}`);
    for (const reason of replay.reasons) print(`  ${reason}`);
    print(`${replay.model} against ${replay.baseline} on dataset ${replay.datasetVersion.slice(0, 12)}\n`);
    print(formatTable(['score', 'model', 'baseline', 'difference', '95 % interval', 'plans'], toScoreRows(replay)));
    print(`\nrows ${replay.objectKey ?? '(none)'}, MLflow run ${replay.mlflowRunId ?? '(none)'}`);
  };

  const offline = program.command('offline-replay').description('model versions judged on logged plans');
  addRun(offline);
  // The consumer groups have the word for another thing; under it, too, the judging of a model is found.
  const replay = program.commands.find((command) => command.name() === 'replay');
  if (replay !== undefined) addRun(replay);

  offline
    .command('list')
    .description('replays and their verdicts, the newest first')
    .option('--model <name>', 'only of this model, such as planner_model')
    .option('--json', 'one JSON object', false)
    .action(({ model, json }: { model?: string; json: boolean }) =>
      withPool(async (pool) => {
        const replays = await listReplays(pool, model);
        if (json) return print(toJson({ replays }));
        const rows = replays.map((found) => [
          found.id.slice(0, 8),
          found.createdAt,
          found.model,
          found.baseline,
          found.datasetVersion.slice(0, 12),
          found.verdict,
        ]);
        print(formatTable(['replay', 'at', 'model', 'baseline', 'dataset', 'verdict'], rows));
      }),
    );

  offline
    .command('show')
    .description('verdict, scores and segments of one replay')
    .argument('<replay>', 'its id or the first characters of it')
    .option('--json', 'one JSON object', false)
    .action((beginning: string, { json }: { json: boolean }) =>
      withPool(async (pool) => {
        const found = await getReplay(pool, beginning);
        if (json) return print(toJson(found));
        printReplay(found);
        const rows = found.metrics.segments.map(({ dimension, value, alignment, edits }) => [
          dimension,
          value,
          toChange(alignment),
          toChange(edits),
        ]);
        print(`\n${formatTable(['segment', '', 'alignment', 'edit distance score'], rows)}`);
      }),
    );
}

function toScoreRows({ metrics }: StoredReplay) {
  const rowsOf = (scores: Readonly<Record<ScoreName, StoredDifference>>, suffix: string) =>
    scoreNames.map((name) => {
      const outcome = scores[name];
      return isComputed(outcome)
        ? [
            `${name}${suffix}`,
            formatNumber(outcome.model),
            formatNumber(outcome.baseline),
            formatNumber(outcome.difference),
            `${formatNumber(outcome.lower)} to ${formatNumber(outcome.upper)}`,
            outcome.plans,
          ]
        : [`${name}${suffix}`, '-', '-', '-', outcome.detail, 0];
    });
  return [...rowsOf(metrics.scores, ''), ...rowsOf(metrics.unconstrained, ', unconstrained')];
}

function toChange(outcome: StoredDifference): string {
  if (!isComputed(outcome)) return outcome.detail;
  const { difference, lower, upper, plans } = outcome;
  return `${formatNumber(difference, 2)} (${formatNumber(lower, 2)} to ${formatNumber(upper, 2)}), ${plans} plans`;
}
