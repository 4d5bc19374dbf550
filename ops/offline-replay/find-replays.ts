// Finds stored offline replays, all of a model or one by its id or the beginning of it.
import type { ScoreName } from '#domain/offline-evaluation/plan-quality.ts';
import type { Outcome } from '#domain/statistics/result.ts';
import { FatalError } from '#platform/errors.ts';
import type { Pool } from '#platform/postgres/pool.ts';

export type StoredDifference = Outcome<
  Record<'model' | 'baseline' | 'difference' | 'lower' | 'upper' | 'plans' | 'households', number>
>;

export type StoredReplay = {
  readonly id: string;
  readonly model: string;
  readonly baseline: string;
  readonly datasetVersion: string;
  readonly verdict: string;
  readonly reasons: readonly string[];
  readonly metrics: {
    readonly scores: Readonly<Record<ScoreName, StoredDifference>>;
    readonly unconstrained: Readonly<Record<ScoreName, StoredDifference>>;
    readonly segments: readonly {
      readonly dimension: string;
      readonly value: string;
      readonly alignment: StoredDifference;
      readonly edits: StoredDifference;
    }[];
  } & Readonly<Record<string, unknown>>;
  readonly objectKey: string | null;
  readonly mlflowRunId: string | null;
  readonly createdAt: Date;
};

const columns = `id, model_name || '/' || model_version AS model,
  coalesce(baseline_model_name || '/', '') || coalesce(baseline_model_version, '') AS baseline, dataset_version AS "datasetVersion", verdict, reasons,
  metrics, object_key AS "objectKey", mlflow_run_id AS "mlflowRunId", created_at AS "createdAt"`;

/** The newest first; of one model name when it is given. */
export async function listReplays(pool: Pool, modelName?: string): Promise<StoredReplay[]> {
  const { rows } = await pool.query<StoredReplay>(
    `SELECT ${columns} FROM exp.offline_replay_results WHERE $1::text IS NULL OR model_name = $1 ORDER BY created_at DESC`,
    [modelName ?? null],
  );
  return rows;
}

/** @throws FatalError when none or several begin like that. */
export async function getReplay(pool: Pool, beginning: string): Promise<StoredReplay> {
  const refuse = (message: string): FatalError => new FatalError(message, { code: 'config-invalid' });
  if (!/^[0-9a-f-]{4,36}$/.test(beginning)) {
    throw refuse(`${beginning} is no id of a replay: expected at least its first 4 characters`);
  }
  const { rows } = await pool.query<StoredReplay>(
    `SELECT ${columns} FROM exp.offline_replay_results WHERE starts_with(id::text, $1) LIMIT 2`,
    [beginning],
  );
  if (rows.length > 1) throw refuse(`several replays begin with ${beginning}: give more of it`);
  if (rows[0] === undefined) throw refuse(`there is no replay ${beginning}: \`ops offline-replay list\` shows them`);
  return rows[0];
}
