// Logs a dataset to MLflow: one run per dataset version, with its address, its counts and its dataset entry.
import { datasetSplits } from '#domain/dataset/split.ts';
import { FatalError } from '#platform/errors.ts';
import type { Tracking } from '#platform/mlflow/tracking.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { BuiltDataset, DatasetManifest } from './build-dataset.ts';

/** MLflow's experiment of datasets; training looks versions up there. */
export const datasetExperiment = 'planner-datasets';

/** Idempotent by dataset version: a second time finds the run. Returns its id, which is stored with the dataset too. */
export async function logDataset(
  { datasetVersion }: Pick<BuiltDataset, 'datasetVersion'>,
  deps: { pool: Pool; tracking: Tracking; bucket: string },
): Promise<string> {
  const { pool, tracking, bucket } = deps;
  const { rows } = await pool.query<{ manifest: DatasetManifest; mlflow_run_id: string | null }>(
    'SELECT manifest, mlflow_run_id FROM exp.dataset_versions WHERE dataset_version = $1',
    [datasetVersion],
  );
  const stored = rows[0];
  if (stored === undefined) throw new FatalError(`there is no dataset ${datasetVersion}`, { code: 'unexpected' });
  const logged = stored.mlflow_run_id === null ? null : await tracking.findRun(stored.mlflow_run_id);
  // One that somebody deleted is made anew: training finds datasets by their runs.
  if (logged?.isDeleted === false) return logged.runId;
  const experimentId = await tracking.ensureExperiment(datasetExperiment);
  const filter = `tags.dataset_version = '${datasetVersion}'`;
  const [known] = await tracking.searchRuns({ experimentIds: [experimentId], filter });
  const runId = known?.runId ?? (await createDatasetRun(tracking, experimentId, stored.manifest, bucket));
  await pool.query('UPDATE exp.dataset_versions SET mlflow_run_id = $2 WHERE dataset_version = $1', [
    datasetVersion,
    runId,
  ]);
  return runId;
}

async function createDatasetRun(
  tracking: Tracking,
  experimentId: string,
  manifest: DatasetManifest,
  bucket: string,
): Promise<string> {
  const version = manifest.dataset_version;
  const address = `s3://${bucket}/${manifest.object_key.replace(/\/[^/]+$/, '')}`;
  const run = await tracking.createRun({
    experimentId,
    name: `${manifest.model_name}-${version.slice(0, 12)}`,
    tags: {
      dataset_version: version,
      dataset_address: address,
      model: manifest.model_name,
      schema_version: String(manifest.schema_version),
      label_cutoff: manifest.label_cutoff,
      code_commit: manifest.code_commit ?? 'unknown',
    },
  });
  await tracking.logDataset(run.runId, {
    name: `planner-${version.slice(0, 12)}`,
    digest: version,
    source: address,
    context: 'build',
  });
  await tracking.logBatch(run.runId, {
    metrics: [
      { key: 'rows', value: manifest.row_count },
      { key: 'rows_with_differences', value: manifest.rows_with_differences },
      ...datasetSplits.flatMap((split) => {
        const { row_count, household_count, target_count } = manifest.splits[split].quality;
        return [
          { key: `${split}_rows`, value: row_count },
          { key: `${split}_households`, value: household_count },
          { key: `${split}_targets`, value: target_count },
        ];
      }),
    ],
  });
  await tracking.uploadFile(run, 'manifest.json', `${JSON.stringify(manifest, null, 2)}\n`);
  await tracking.endRun(run.runId, 'FINISHED');
  return run.runId;
}
