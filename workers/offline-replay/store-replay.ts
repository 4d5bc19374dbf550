// Stores a replay where each reader looks: rows in the object store, figures in MLflow, the result in exp.offline_replay_results.
import type { ReplayedPlan } from '#domain/offline-evaluation/replayed-plan.ts';
import type { ReplaySummary } from '#domain/offline-evaluation/summarize-replay.ts';
import { toWire } from '#domain/results/to-wire.ts';
import { isComputed, type Outcome } from '#domain/statistics/result.ts';
import type { MetricPoint, Tracking } from '#platform/mlflow/tracking.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import type { PoolClient } from '#platform/postgres/pool.ts';
import { makeRowFile } from './row-file.ts';

export const replayExperiment = 'planner-offline-replay';

export type ReplayIdentity = {
  /** What is the same replay: model, dataset, baseline and settings. */
  readonly replayKey: string;
  readonly model: { readonly name: string; readonly version: number };
  readonly baseline: { readonly name: string; readonly version: number };
  /** Where the model came from, as the registry says now; null where it does not say. */
  readonly origin: { readonly trainingRunId: string | null; readonly datasetVersion: string | null };
  readonly datasetVersion: string;
  readonly datasetAddress: string;
  /** Seed, resamples and tolerances. */
  readonly settings: Readonly<Record<string, number>>;
};

export type StoredReplay = {
  readonly id: string;
  readonly verdict: 'pass' | 'fail' | 'inconclusive';
  readonly reasons: readonly string[];
  readonly metrics: Readonly<Record<string, unknown>>;
  readonly objectKey: string;
  readonly mlflowRunId: string;
};

type Deps = { readonly client: PoolClient; readonly objectStore: ObjectStore; readonly tracking: Tracking };

export async function findReplay(client: PoolClient, replayKey: string): Promise<StoredReplay | null> {
  const { rows } = await client.query<{
    id: string;
    verdict: StoredReplay['verdict'];
    reasons: string[];
    metrics: Record<string, unknown>;
    object_key: string;
    mlflow_run_id: string;
  }>(
    'SELECT id, verdict, reasons, metrics, object_key, mlflow_run_id FROM exp.offline_replay_results WHERE replay_key = $1',
    [replayKey],
  );
  const row = rows[0];
  if (row === undefined) return null;
  const { object_key: objectKey, mlflow_run_id: mlflowRunId, ...rest } = row;
  return { ...rest, objectKey, mlflowRunId };
}

/**
 * Order of writes: rows, run, result. Each can be repeated: rows are written again, the run is found by its key, and the result
 * has one row per key.
 */
export async function storeReplay(
  identity: ReplayIdentity,
  plans: readonly ReplayedPlan[],
  summary: ReplaySummary,
  { client, objectStore, tracking }: Deps,
): Promise<StoredReplay> {
  const { replayKey, model, baseline, datasetVersion, settings } = identity;
  const objectKey = `offline-replays/${model.name}/${model.version}/${replayKey}.parquet`;
  const rows = await makeRowFile(plans, { replay_key: replayKey, dataset_version: datasetVersion });
  await objectStore.put(objectKey, rows, { contentType: 'application/vnd.apache.parquet' });
  const { verdict, criteria } = summary.decision;
  const reasons = criteria.map(({ name, verdict: part, reason }) => `${name} ${part}: ${reason}`);
  const metrics = toMetrics(summary);
  const mlflowRunId = await logReplay(identity, { summary, metrics, reasons, objectKey }, { objectStore, tracking });
  // Commit point: rows and run are there before the result that points at them.
  await client.query(
    `INSERT INTO exp.offline_replay_results (model_name, model_version, dataset_version, baseline_model_name, baseline_model_version,
       metrics, verdict, reasons, object_key, mlflow_run_id, replay_key, settings, training_run_id, training_dataset_version)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (replay_key) DO NOTHING`,
    [
      model.name,
      String(model.version),
      datasetVersion,
      baseline.name,
      String(baseline.version),
      JSON.stringify(metrics),
      verdict,
      JSON.stringify(reasons),
      objectKey,
      mlflowRunId,
      replayKey,
      JSON.stringify(settings),
      identity.origin.trainingRunId,
      identity.origin.datasetVersion,
    ],
  );
  return (await findReplay(client, replayKey))!;
}

/** Means of the model under the names of the scores, as the dashboards read them, and everything else in snake_case. */
function toMetrics(summary: ReplaySummary): Record<string, unknown> {
  const { decision, acceptance, ...figures } = summary;
  const means = Object.entries(summary.scores).flatMap(([name, outcome]) =>
    isComputed(outcome) ? [[name, outcome.model] as const] : [],
  );
  return {
    ...Object.fromEntries(means),
    ...(isComputed(acceptance) ? { acceptance_rate: acceptance.value } : {}),
    ...(toWire({ ...figures, acceptance, criteria: decision.criteria }) as Record<string, unknown>),
  };
}

async function logReplay(
  { replayKey, model, baseline, datasetVersion, datasetAddress, settings }: ReplayIdentity,
  result: {
    summary: ReplaySummary;
    metrics: Record<string, unknown>;
    reasons: readonly string[];
    objectKey: string;
  },
  { objectStore, tracking }: Pick<Deps, 'objectStore' | 'tracking'>,
): Promise<string> {
  const { summary, metrics, reasons, objectKey } = result;
  const experimentId = await tracking.ensureExperiment(replayExperiment);
  const earlier = await tracking.searchRuns({
    experimentIds: [experimentId],
    filter: `tags.replay_key = '${replayKey}'`,
  });
  const finished = earlier.find(({ status }) => status === 'FINISHED');
  if (finished !== undefined) return finished.runId;
  // Whoever left it is gone: only one session at a time has the lock of this replay.
  for (const { runId, status } of earlier) if (status === 'RUNNING') await tracking.endRun(runId, 'KILLED');
  const run = await tracking.createRun({
    experimentId,
    name: `${model.name}-${model.version}-on-${datasetVersion.slice(0, 8)}`,
    tags: {
      replay_key: replayKey,
      dataset_version: datasetVersion,
      verdict: summary.decision.verdict,
      rows_address: `s3://${objectStore.bucket}/${objectKey}`,
    },
  });
  await tracking.logDataset(run.runId, {
    name: `planner-${datasetVersion.slice(0, 12)}`,
    digest: datasetVersion,
    source: datasetAddress,
    context: 'test',
  });
  await tracking.logBatch(run.runId, {
    params: {
      model: `${model.name}/${model.version}`,
      baseline: `${baseline.name}/${baseline.version}`,
      dataset_version: datasetVersion,
      ...Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, String(value)])),
    },
    metrics: toMetricPoints(summary),
  });
  await tracking.uploadFile(
    run,
    'replay.json',
    `${JSON.stringify({ verdict: summary.decision.verdict, reasons, metrics }, null, 2)}\n`,
  );
  await tracking.endRun(run.runId, 'FINISHED');
  return run.runId;
}

function toMetricPoints({ scores, unconstrained, avoidableViolations, keptSlots }: ReplaySummary): MetricPoint[] {
  const pointsOf = (
    prefix: string,
    outcomes: Readonly<
      Record<string, Outcome<Record<'model' | 'baseline' | 'difference' | 'lower' | 'upper', number>>>
    >,
  ) =>
    Object.entries(outcomes).flatMap(([name, outcome]) =>
      isComputed(outcome)
        ? (['model', 'baseline', 'difference', 'lower', 'upper'] as const).map((part) => ({
            key: `${prefix}${name}_${part}`,
            value: outcome[part],
          }))
        : [],
    );
  return [
    ...pointsOf('', scores),
    ...pointsOf('unconstrained_', unconstrained),
    { key: 'avoidable_violations', value: avoidableViolations.model },
    { key: 'unconstrained_avoidable_violations', value: avoidableViolations.unconstrainedModel },
    ...(isComputed(keptSlots.snips) ? [{ key: 'kept_slots_snips', value: keptSlots.snips.value }] : []),
    ...(isComputed(keptSlots.doublyRobust)
      ? [{ key: 'kept_slots_doubly_robust', value: keptSlots.doublyRobust.value }]
      : []),
  ];
}
