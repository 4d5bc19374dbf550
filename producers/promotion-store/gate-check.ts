// What the offline gate says of a model version: the latest replay of exactly that version decides.
import { type DefinitionFieldProblem, policyReferenceField } from '#domain/definitions/definition-body.ts';
import { type Experiment, policyVersionIdIn } from '#domain/experiment/experiment.ts';
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

/** In words: what its replays say against giving the version traffic; null when the latest one passed. */
function describeGate(model: ModelVersionName, replays: readonly GateEvidence[]): string | null {
  const [latest] = replays;
  if (latest?.verdict === 'pass') return null;
  const listed = replays
    .slice(0, 5)
    .map(
      ({ replay_id, verdict, dataset_version, replayed_at }) =>
        `${replay_id.slice(0, 8)} ${verdict} on dataset ${dataset_version.slice(0, 12)} at ${replayed_at.toISOString()}`,
    )
    .join('; ');
  if (latest?.verdict === 'fail') {
    return (
      `${nameOf(model)} failed the gate and gets no traffic, forced or not. Its replays, the latest first: ${listed}. ` +
      `\`ops offline-replay show ${latest.replay_id.slice(0, 8)}\` says why`
    );
  }
  return (
    `${nameOf(model)} has not passed the gate: ` +
    (latest === undefined ? 'no replay has judged it' : `its replays, the latest first: ${listed}`) +
    `. Run one with \`ops offline-replay run --model ${nameOf(model)} --dataset DATASET_VERSION\`, ` +
    'or start a promotion with --force and a reason, which is recorded'
  );
}

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
  const refusal = describeGate(model, replays);
  const latest = replays[0] ?? null;
  if (refusal === null || (isForced && latest?.verdict !== 'fail')) return latest;
  throw new PromotionRefusal('refused', 'model', refusal);
}

/**
 * What an experiment that starts may not deliver: versions whose model has not passed the gate. Versions that were in production, those
 * that a promotion forced on record, and the first version of a policy, which there is nothing to compare with, need no gate.
 */
export async function findUngatedVariants(
  connection: Connection,
  { variants }: Experiment,
): Promise<DefinitionFieldProblem[]> {
  const problems: DefinitionFieldProblem[] = [];
  for (const [index, { config }] of variants.entries()) {
    const { rows } = await connection.query<{ model: string; version: string; is_forced: boolean }>(
      `SELECT v.mlflow_model_name AS model, v.mlflow_model_version AS version,
         EXISTS (SELECT FROM exp.promotions l WHERE l.policy_version_id = v.id AND l.action = 'start' AND l.evidence ? 'forced') AS is_forced
       FROM exp.policy_versions v WHERE v.id::text = $1 AND v.first_production_at IS NULL AND v.version > 1`,
      [policyVersionIdIn(config)?.toLowerCase() ?? ''],
    );
    const [candidate] = rows;
    if (candidate === undefined) continue;
    const model = { name: candidate.model, version: Number(candidate.version) };
    const replays = await listReplays(connection, model);
    const refusal = describeGate(model, replays);
    if (refusal === null || (candidate.is_forced && replays[0]?.verdict !== 'fail')) continue;
    problems.push({ field: policyReferenceField(index), message: refusal });
  }
  return problems;
}
