// What the offline gate says of a model version: the latest replay of exactly that version decides.
import type { Connection } from '../definition-store/definition-rows.ts';
import { PromotionRefusal } from './promotion-refusal.ts';

export type ModelVersionName = { readonly name: string; readonly version: number };

export type GateEvidence = {
  replay_id: string;
  verdict: 'pass' | 'fail' | 'inconclusive';
  replayed_at: Date;
  dataset_version: string;
  baseline: string;
  /** Of each score: model, baseline and their difference, as the replay stored them. */
  scores: Record<string, unknown>;
};

export const nameOf = ({ name, version }: ModelVersionName): string => `${name}/${version}`;

/** Replays of a model version, the latest first. */
export async function listReplays(connection: Connection, model: ModelVersionName): Promise<GateEvidence[]> {
  const { rows } = await connection.query<GateEvidence>(
    `SELECT id AS replay_id, verdict, created_at AS replayed_at, dataset_version,
       coalesce(baseline_model_name || '/', '') || coalesce(baseline_model_version, '') AS baseline,
       coalesce(metrics -> 'scores', '{}') AS scores
     FROM exp.offline_replay_results WHERE model_name = $1 AND model_version = $2 ORDER BY created_at DESC, id`,
    [model.name, String(model.version)],
  );
  return rows;
}

const howToReplay = (model: ModelVersionName): string =>
  `Run one with \`ops offline-replay run --model ${nameOf(model)} --dataset DATASET_VERSION\``;

/**
 * The evidence with which a model version may get traffic: null when it was forced without any. A gate that failed cannot be forced.
 * @throws PromotionRefusal that says which replays there are and how to run one.
 */
export async function requirePassedGate(
  connection: Connection,
  model: ModelVersionName,
  { isForced }: { isForced: boolean },
): Promise<GateEvidence | null> {
  const replays = await listReplays(connection, model);
  const [latest] = replays;
  if (latest?.verdict === 'pass') return latest;
  const listed = replays
    .slice(0, 5)
    .map(({ replay_id, verdict, dataset_version, replayed_at }) => {
      return `${replay_id.slice(0, 8)} ${verdict} on dataset ${dataset_version.slice(0, 12)} at ${replayed_at.toISOString()}`;
    })
    .join('; ');
  if (latest?.verdict === 'fail') {
    throw new PromotionRefusal(
      'refused',
      'model',
      `${nameOf(model)} failed the gate and gets no traffic, forced or not. Its replays, the latest first: ${listed}. ` +
        `\`ops offline-replay show ${latest.replay_id.slice(0, 8)}\` says why`,
    );
  }
  if (isForced) return latest ?? null;
  const found = latest === undefined ? 'no replay has judged it' : `its replays, the latest first: ${listed}`;
  throw new PromotionRefusal(
    'refused',
    'model',
    `${nameOf(model)} has not passed the gate: ${found}. ${howToReplay(model)}, or give a reason with --force, which is recorded`,
  );
}
