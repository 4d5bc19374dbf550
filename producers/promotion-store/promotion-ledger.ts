// The ledger exp.promotions and the promotion that a policy has under way: rows are added in the caller's transaction and never changed.
import type { Experiment } from '#domain/experiment/experiment.ts';
import { trafficShareOf } from '#domain/experiment/traffic-share.ts';
import type { Reign, StatusChange } from '#domain/promotion/champions.ts';
import { listReigns } from '#domain/promotion/champions.ts';
import { ARM_ALLOCATION } from '#domain/promotion/ramp-plan.ts';
import type { Connection } from '../definition-store/definition-rows.ts';
import type { ChangeAuthor } from '../definition-store/save-experiment.ts';

export type LedgerAction =
  | 'bootstrap'
  | 'start'
  | 'step'
  | 'approve'
  | 'finish'
  | 'retire'
  | 'roll-back'
  | 'reinstate'
  | 'deliver-to-all';

export type LedgerEntry = {
  readonly action: LedgerAction;
  readonly policyVersionId: string;
  /** Null for what belongs to no experiment. */
  readonly experiment: Pick<Experiment, 'experimentId' | 'version'> | null;
  readonly from: Readonly<Record<string, unknown>>;
  readonly to: Readonly<Record<string, unknown>>;
  readonly evidence?: Readonly<Record<string, unknown>>;
  readonly author: ChangeAuthor;
};

/** Adds a row; the model is that of the policy version. */
export async function addToLedger(tx: Connection, entry: LedgerEntry): Promise<void> {
  const { action, policyVersionId, experiment, from, to, evidence = {}, author } = entry;
  await tx.query(
    `INSERT INTO exp.promotions (actor, action, reason, policy_version_id, model_name, model_version, experiment_id, experiment_version,
       from_state, to_state, evidence)
     SELECT $1, $2, $3, v.id, v.mlflow_model_name, v.mlflow_model_version, $5, $6, $7, $8, $9
     FROM exp.policy_versions v WHERE v.id = $4::uuid`,
    [
      author.actor,
      action,
      author.reason,
      policyVersionId,
      experiment?.experimentId ?? null,
      experiment?.version ?? null,
      JSON.stringify(from),
      JSON.stringify(to),
      JSON.stringify(evidence),
    ],
  );
}

export type LedgerRow = {
  id: number;
  at: Date;
  actor: string;
  action: LedgerAction;
  reason: string;
  policy_version_id: string;
  policy_version: string;
  model: string;
  experiment_key: string | null;
  iteration: number | null;
  experiment_id: string | null;
  experiment_version: number | null;
  from_state: Record<string, unknown>;
  to_state: Record<string, unknown>;
  evidence: Record<string, unknown>;
};

const selectLedger = `SELECT l.id::float8 AS id, l.at, l.actor, l.action, l.reason, l.policy_version_id,
    p.name || '@' || v.version AS policy_version, l.model_name || '/' || l.model_version AS model, x.key AS experiment_key, x.iteration,
    l.experiment_id, l.experiment_version, l.from_state, l.to_state, l.evidence
  FROM exp.promotions l JOIN exp.policy_versions v ON v.id = l.policy_version_id JOIN exp.policies p ON p.id = v.policy_id
  LEFT JOIN exp.experiments x ON x.id = l.experiment_id`;

/** Rows of an experiment (key or id), or all, in the order in which they were added; the latest `limit` of them. */
export async function listLedger(
  connection: Connection,
  { keyOrId = null, limit = 200 }: { keyOrId?: string | null; limit?: number } = {},
): Promise<LedgerRow[]> {
  const { rows } = await connection.query<LedgerRow>(
    `SELECT * FROM (${selectLedger} WHERE $1::text IS NULL OR x.key = $1 OR x.id::text = $1 ORDER BY l.id DESC LIMIT $2) r ORDER BY id`,
    [keyOrId, limit],
  );
  return rows;
}

/** The times in production of the versions of a model, or of a policy; by the beginning. */
export async function readReigns(connection: Connection, modelOrPolicy: string): Promise<Reign[]> {
  const { rows } = await connection.query<LedgerRow>(
    `${selectLedger} WHERE (l.model_name = $1 OR p.name = $1) AND l.to_state ? 'status' ORDER BY l.id`,
    [modelOrPolicy],
  );
  return listReigns(
    rows.map(
      ({ at, actor, action, reason, policy_version, model, to_state }): StatusChange => ({
        at: at.toISOString(),
        actor,
        action,
        reason,
        policyVersion: policy_version,
        model,
        status: typeof to_state.status === 'string' ? to_state.status : null,
      }),
    ),
  );
}

/** The candidate's share of all units, as rows of the ledger state it. */
export const candidateShare = ({ coverage }: Pick<Experiment, 'coverage'>): number =>
  Number(trafficShareOf(coverage, ARM_ALLOCATION).toFixed(4));

export type RunningPromotion = {
  readonly policyId: string;
  readonly policyVersionId: string;
  readonly experimentId: string;
};

export async function listRunning(connection: Connection): Promise<(RunningPromotion & { experimentKey: string })[]> {
  const { rows } = await connection.query<RunningPromotion & { experimentKey: string }>(
    `SELECT r.policy_id AS "policyId", r.policy_version_id AS "policyVersionId", r.experiment_id AS "experimentId",
       x.key AS "experimentKey"
     FROM exp.running_promotions r JOIN exp.experiments x ON x.id = r.experiment_id ORDER BY r.started_at`,
  );
  return rows;
}

/** Ends the promotion of an experiment. Null when it has none under way: whoever gets it is the one that ends it. */
export async function endRunning(tx: Connection, experimentId: string): Promise<RunningPromotion | null> {
  const { rows } = await tx.query<RunningPromotion>(
    `DELETE FROM exp.running_promotions WHERE experiment_id = $1
     RETURNING policy_id AS "policyId", policy_version_id AS "policyVersionId", experiment_id AS "experimentId"`,
    [experimentId],
  );
  return rows[0] ?? null;
}

/**
 * Ends the promotion of an experiment that delivers nothing any more, with its row of the ledger, in the transaction that stopped it.
 * Does nothing for every other experiment.
 */
export async function recordRollBack(
  tx: Connection,
  stopped: Experiment,
  { author, evidence }: { author: ChangeAuthor; evidence?: Readonly<Record<string, unknown>> },
): Promise<boolean> {
  const ended = await endRunning(tx, stopped.experimentId);
  if (ended === null) return false;
  await addToLedger(tx, {
    action: 'roll-back',
    policyVersionId: ended.policyVersionId,
    experiment: stopped,
    from: { candidate_share: candidateShare(stopped) },
    to: { candidate_share: 0, serving: stopped.serving.mode },
    ...(evidence === undefined ? {} : { evidence }),
    author,
  });
  return true;
}
