// Builds one dataset and prints the result as one JSON line; exits with 0 when the dataset is there.
import { formatProblems, parseSettings } from '#platform/config/settings.ts';
import { describeError } from '#platform/errors.ts';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createTracking } from '#platform/mlflow/tracking.ts';
import { createObjectStore } from '#platform/object-store/object-store.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { findCodeCommit } from '#platform/process/code-commit.ts';
import { buildDataset } from './build-dataset.ts';
import { datasetBuildConfig } from './config.ts';
import { logDataset } from './log-dataset.ts';

const parsed = parseSettings(datasetBuildConfig, process.env);
if (!parsed.ok) {
  process.stderr.write(`dataset-build: ${formatProblems(parsed.problems)}\n`);
  process.exitCode = 2;
} else if (process.argv.includes('--check-config')) {
  process.stdout.write('dataset-build: settings are valid\n');
} else {
  const { postgres, objectStore: storeSettings, mlflow, build } = parsed.settings;
  const now = new Date();
  const pool = createPostgresPool({ ...postgres, applicationName: 'dataset-build' });
  const objectStore = createObjectStore(storeSettings);
  try {
    const built = await buildDataset({
      pool,
      objectStore,
      modelName: build.modelName,
      buildDate: build.date ?? now.toISOString().slice(0, 10),
      labelCutoff: build.labelCutoffMs === undefined ? now : new Date(build.labelCutoffMs),
      from: build.fromMs === undefined ? undefined : new Date(build.fromMs),
      to: build.toMs === undefined ? undefined : new Date(build.toMs),
      codeCommit: build.codeCommit ?? findCodeCommit(),
    });
    const mlflowRunId =
      mlflow.url === undefined
        ? null
        : await logDataset(built, {
            pool,
            tracking: createTracking(createMlflowClient({ url: mlflow.url })),
            bucket: objectStore.bucket,
          });
    process.stdout.write(`${JSON.stringify({ ...built, mlflowRunId })}\n`);
  } catch (error) {
    process.stderr.write(`dataset-build: ${describeError(error)}\n`);
    process.exitCode = 1;
  } finally {
    await pool.end();
    objectStore.close();
  }
}
