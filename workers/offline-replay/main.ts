// Runs one offline replay and prints the result as one JSON line; exits with 0 when there is a verdict, whichever it is.
import { formatProblems, parseSettings } from '#platform/config/settings.ts';
import { describeError } from '#platform/errors.ts';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createObjectStore } from '#platform/object-store/object-store.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { offlineReplayConfig } from './config.ts';
import { runReplay } from './run-replay.ts';

const parsed = parseSettings(offlineReplayConfig, process.env);
if (!parsed.ok) {
  process.stderr.write(`offline-replay: ${formatProblems(parsed.problems)}\n`);
  process.exitCode = 2;
} else if (process.argv.includes('--check-config')) {
  process.stdout.write('offline-replay: settings are valid\n');
} else if (parsed.settings.mlflow.url === undefined) {
  process.stderr.write('offline-replay: models are in MLflow: set MLFLOW_URL to its address\n');
  process.exitCode = 2;
} else {
  const { postgres, objectStore: storeSettings, mlflow, replay, gate } = parsed.settings;
  const { python, ...what } = replay;
  const pool = createPostgresPool({ ...postgres, applicationName: 'offline-replay' });
  const objectStore = createObjectStore(storeSettings);
  try {
    const result = await runReplay(
      { ...what, tolerances: gate },
      {
        pool,
        objectStore,
        mlflow: createMlflowClient({ url: mlflow.url! }),
        process: { python, environment: process.env },
      },
    );
    process.stdout.write(`${JSON.stringify(result)}\n`);
  } catch (error) {
    process.stderr.write(`offline-replay: ${describeError(error)}\n`);
    process.exitCode = 1;
  } finally {
    await pool.end();
    objectStore.close();
  }
}
