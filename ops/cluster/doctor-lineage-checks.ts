// Doctor's check of what lineage leads through: files of datasets and replays, their runs in MLflow, the models that were judged.
import { splitFiles, toManifestKey, toSiblingKey } from '#domain/dataset/planner-dataset.ts';
import { datasetSplits } from '#domain/dataset/split.ts';
import type { MlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createTracking } from '#platform/mlflow/tracking.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import { createLineageModels, type LineageModels } from '../lineage/lineage-models.ts';
import { createLineageRecords, type DatasetRecord, type ReplayRecord } from '../lineage/lineage-records.ts';
import type { DoctorCheck, Finding } from './doctor.ts';

type Found = Omit<Finding, 'check'>;

/** More of one kind than this are counted, not listed. */
const listedAtMost = 5;
const short = (version: string): string => version.slice(0, 12);

export const checkLineage: DoctorCheck = {
  name: 'lineage',
  adviceWhenUnreachable: 'this needs Postgres, the object store and, where it is set, MLflow: see their lines',
  run: async ({ pool, objectStore, mlflow }) => {
    const records = createLineageRecords(pool);
    const [datasets, replays] = await Promise.all([records.listDatasets(), records.listReplays()]);
    const isThere = await listObjects(objectStore);
    const findings = [
      ...limit(datasets.flatMap((dataset) => judgeFiles(dataset, isThere))),
      ...limit(replays.flatMap((replay) => judgeRows(replay, isThere))),
      ...(mlflow === null ? [] : await judgeMlflow(mlflow, datasets, replays)),
    ];
    if (findings.length > 0) return findings;
    const compared = mlflow === null ? '; MLFLOW_URL is not set, so runs and models are not compared' : '';
    return [
      { state: 'ok', detail: `${datasets.length} datasets and ${replays.length} replays have their files${compared}` },
    ];
  },
};

function limit(findings: readonly Found[]): Found[] {
  const rest = findings.length - listedAtMost;
  if (rest <= 0) return [...findings];
  const last = findings[listedAtMost]!;
  return [...findings.slice(0, listedAtMost), { ...last, detail: `${last.detail}, and ${rest - 1} more like this` }];
}

/** Two listings instead of a question for each file. */
async function listObjects(objectStore: ObjectStore): Promise<(key: string) => boolean> {
  const listed = await Promise.all(['datasets/', 'offline-replays/'].map((prefix) => objectStore.list(prefix)));
  const keys = new Set(listed.flat().map(({ objectKey }) => objectKey));
  return (key) => keys.has(key);
}

/** The command that builds the same dataset again, which puts back its files and its run. */
function buildAgain({ manifest }: DatasetRecord): string {
  const { label_cutoff, generated_from, generated_to } = manifest;
  const bounds = [
    ...(generated_from === null ? [] : ['--from', generated_from]),
    ...(generated_to === null ? [] : ['--to', generated_to]),
  ];
  const command = ['npm run -s ops -- dataset build planner --label-cutoff', label_cutoff, ...bounds].join(' ');
  return `"${command}" puts it back, as long as none of its households was erased`;
}

function judgeFiles(dataset: DatasetRecord, isThere: (key: string) => boolean): Found[] {
  const keys = [
    ...datasetSplits.map((split) => toSiblingKey(dataset.object_key, splitFiles[split])),
    toManifestKey(dataset.object_key),
  ];
  return keys
    .filter((key) => !isThere(key))
    .map((key) => ({
      state: 'problem' as const,
      detail: `dataset ${short(dataset.dataset_version)}: ${key} is gone from the object store`,
      advice: buildAgain(dataset),
    }));
}

const judgeAgain = ({ model, dataset_version }: ReplayRecord): string =>
  `the verdict in Postgres stands; "npm run -s ops -- offline-replay run --model ${model} --dataset ${short(dataset_version)} --seed 2" judges it once more, with rows and run of its own`;

function judgeRows(replay: ReplayRecord, isThere: (key: string) => boolean): Found[] {
  const { object_key: key } = replay;
  if (key === null || isThere(key)) return [];
  const detail = `replay ${replay.id.slice(0, 8)} of ${replay.model}: ${key} is gone from the object store`;
  return [{ state: 'warning', detail, advice: judgeAgain(replay) }];
}

async function judgeMlflow(
  client: MlflowClient,
  datasets: readonly DatasetRecord[],
  replays: readonly ReplayRecord[],
): Promise<Found[]> {
  const tracking = createTracking(client);
  const listRuns = async (experiment: string): Promise<Set<string>> => {
    const id = await tracking.findExperiment(experiment);
    const runs = id === null ? [] : await tracking.searchRuns({ experimentIds: [id] });
    return new Set(runs.map(({ runId }) => runId));
  };
  const [datasetRuns, replayRuns] = await Promise.all([
    listRuns('planner-datasets'),
    listRuns('planner-offline-replay'),
  ]);
  const lostDatasets = datasets
    .filter(({ mlflow_run_id: run }) => run !== null && !datasetRuns.has(run))
    .map((dataset) => ({
      state: 'problem' as const,
      detail: `dataset ${short(dataset.dataset_version)}: its MLflow run ${dataset.mlflow_run_id} was deleted, and training finds datasets by it`,
      advice: `restore the run in MLflow, or build it anew: ${buildAgain(dataset)}`,
    }));
  const lostReplays = replays
    .filter(({ mlflow_run_id: run }) => run !== null && !replayRuns.has(run))
    .map((replay) => ({
      state: 'warning' as const,
      detail: `replay ${replay.id.slice(0, 8)} of ${replay.model}: its MLflow run ${replay.mlflow_run_id} was deleted`,
      advice: `restore the run in MLflow; ${judgeAgain(replay)}`,
    }));
  const models = [...new Set(replays.map(({ model }) => model))];
  const lostModels = await judgeModels(createLineageModels(client), models, replays);
  return [lostDatasets, lostReplays, lostModels].flatMap(limit);
}

/** Versions that were judged, with their files and the run that trained them. */
async function judgeModels(
  lookUp: LineageModels,
  models: readonly string[],
  replays: readonly ReplayRecord[],
): Promise<Found[]> {
  const findings: Found[] = [];
  for (const model of models) {
    const { value, problem } = await lookUp.findModel(model);
    if (problem !== null) {
      const detail = `model ${model}, which was judged: ${problem}`;
      const advice = `restore it, or train and judge a new version; "npm run -s ops -- lineage model ${model}" shows what depends on it`;
      findings.push({ state: 'problem', detail, advice });
    }
    const recorded = replays.find((replay) => replay.model === model && replay.training_run_id !== null);
    const runId = value?.runId ?? recorded?.training_run_id ?? null;
    const run = runId === null ? null : await lookUp.findRun(runId);
    if (run !== null && run.problem !== null) {
      const detail = `run ${runId}, which trained model ${model}: ${run.problem}`;
      const advice = 'restore the run in MLflow: its parameters and curves say how the model was made';
      findings.push({ state: 'warning', detail, advice });
    }
  }
  return findings;
}
