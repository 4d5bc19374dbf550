// Policies in exp.policies and exp.policy_versions: reading them, adding to them, and the first version that enters production.

import {
  formatPolicyVersion,
  type Policy,
  type PolicyPlan,
  type PolicyVersion,
  planPolicy,
  type StoredPolicy,
  type StoredPolicyVersion,
} from '#domain/definitions/policy.ts';
import type { ProductionRecord } from '#domain/definitions/start-limit.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import { asPolicyId, asPolicyVersionId } from '#domain/experiment/ids.ts';
import type { JsonObject } from '#domain/targeting/condition.ts';
import { addToLedger, listRunning } from '../promotion-store/promotion-ledger.ts';
import type { Connection } from './definition-rows.ts';
import type { ChangeAuthor } from './save-experiment.ts';

type PolicyRow = { id: string; name: string; description: string | null };
type VersionRow = {
  id: string;
  policy_id: string;
  version: number;
  mlflow_model_name: string;
  mlflow_model_version: string;
  config_defaults: JsonObject;
  status: StoredPolicyVersion['status'];
  first_production_at: Date | null;
};

/** Every policy by name, its versions in order. */
export async function listPolicies(connection: Connection): Promise<StoredPolicy[]> {
  const policies = await connection.query<PolicyRow>('SELECT id, name, description FROM exp.policies ORDER BY name');
  const versions = await connection.query<VersionRow>(
    `SELECT id, policy_id, version, mlflow_model_name, mlflow_model_version, config_defaults, status, first_production_at
     FROM exp.policy_versions ORDER BY version`,
  );
  return policies.rows.map(({ id, name, description }) => ({
    policyId: asPolicyId(id),
    name,
    description,
    versions: versions.rows
      .filter((row) => row.policy_id === id)
      .map((row) => ({
        policyVersionId: asPolicyVersionId(row.id),
        policyName: name,
        version: row.version,
        modelName: row.mlflow_model_name,
        modelVersion: row.mlflow_model_version,
        configDefaults: row.config_defaults,
        status: row.status,
        firstProductionAt: row.first_production_at?.toISOString() ?? null,
      })),
  }));
}

/** Which of these policy versions were in production, and what people call them. */
export async function readProductionRecord(
  connection: Connection,
  policyVersionIds: readonly string[],
): Promise<ProductionRecord> {
  const ids = policyVersionIds.map((id) => id.toLowerCase());
  const { rows } =
    ids.length === 0
      ? { rows: [] }
      : await connection.query<{ id: string; name: string; version: number; was_in_production: boolean }>(
          `SELECT v.id, p.name, v.version, v.first_production_at IS NOT NULL AS was_in_production
           FROM exp.policy_versions v JOIN exp.policies p ON p.id = v.policy_id WHERE v.id::text = ANY($1::text[])`,
          [ids],
        );
  const byId = new Map(rows.map((row) => [row.id, row]));
  return {
    hasBeenInProduction: (id) => byId.get(id.toLowerCase())?.was_in_production ?? false,
    nameOf: (id) => {
      const found = byId.get(id.toLowerCase());
      return found === undefined ? id : formatPolicyVersion({ policyName: found.name, version: found.version });
    },
  };
}

async function writeAudit(
  tx: Connection,
  entry: { action: string; subject: string; detail: object; author: ChangeAuthor },
): Promise<void> {
  const { action, subject, detail, author } = entry;
  await tx.query('INSERT INTO exp.audit_log (actor, action, subject, detail) VALUES ($1, $2, $3, $4)', [
    author.actor,
    action,
    subject,
    JSON.stringify({ reason: author.reason, ...detail }),
  ]);
}

/** One writer of policies at a time, until the transaction ends. */
export async function lockPolicies(tx: Connection): Promise<void> {
  await tx.query("SELECT pg_advisory_xact_lock(hashtextextended('policies', 0))");
}

async function insertVersion(tx: Connection, policy: Policy, version: PolicyVersion): Promise<void> {
  await tx.query(
    `INSERT INTO exp.policy_versions (id, policy_id, version, mlflow_model_name, mlflow_model_version, config_defaults)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [
      version.policyVersionId,
      policy.policyId,
      version.version,
      version.modelName,
      version.modelVersion,
      JSON.stringify(version.configDefaults),
    ],
  );
}

/**
 * Adds what the definitions have and the tables lack, in the caller's transaction, and returns the plan that it followed. Refused
 * versions are left out. The caller has checked the models against the registry.
 */
export async function applyPolicies(
  tx: Connection,
  policies: readonly Policy[],
  author: ChangeAuthor,
): Promise<PolicyPlan[]> {
  if (policies.length === 0) return [];
  await lockPolicies(tx);
  const stored = await listPolicies(tx);
  const plans = policies.map((policy) => planPolicy(policy, stored.find(({ name }) => name === policy.name) ?? null));
  for (const { policy, action, changes, versions } of plans) {
    const subject = `policy/${policy.name}`;
    if (action !== 'unchanged') {
      await tx.query(
        `INSERT INTO exp.policies (id, name, description) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET description = excluded.description`,
        [policy.policyId, policy.name, policy.description],
      );
      await writeAudit(tx, { action: `policy.${action}`, subject, detail: { changes }, author });
    }
    for (const { action: versionAction, version } of versions) {
      if (versionAction !== 'create') continue;
      await insertVersion(tx, policy, version);
      await writeAudit(tx, {
        action: 'policy-version.create',
        subject: `policy-version/${formatPolicyVersion(version)}`,
        detail: { mlflow_model_name: version.modelName, mlflow_model_version: version.modelVersion },
        author,
      });
    }
  }
  return plans;
}

export type BootstrapResult =
  | { readonly status: 'bootstrapped'; readonly version: StoredPolicyVersion }
  | { readonly status: 'unchanged'; readonly version: StoredPolicyVersion }
  | { readonly status: 'refused'; readonly message: string };

/**
 * Declares that a version of a policy is in production although no ramp led there: how the very first version of each policy enters.
 * Refused for every other one.
 */
export async function bootstrapPolicyVersion(
  tx: Connection,
  target: { readonly name: string; readonly version: number },
  author: ChangeAuthor,
): Promise<BootstrapResult> {
  await lockPolicies(tx);
  const policy = (await listPolicies(tx)).find(({ name }) => name === target.name);
  if (policy === undefined) return { status: 'refused', message: `there is no policy ${target.name}: apply it first` };
  const version = policy.versions.find((candidate) => candidate.version === target.version);
  if (version === undefined) {
    const known = policy.versions.map((candidate) => candidate.version).join(', ');
    return { status: 'refused', message: `policy ${target.name} has no version ${target.version}; it has ${known}` };
  }
  const earlier = policy.versions.find(({ firstProductionAt }) => firstProductionAt !== null);
  if (earlier?.version === version.version) return { status: 'unchanged', version };
  if (earlier !== undefined) {
    return {
      status: 'refused',
      message:
        `${formatPolicyVersion(earlier)} has been in production since ${earlier.firstProductionAt}: only the first version of a ` +
        `policy is bootstrapped. ${formatPolicyVersion(version)} gets there through an experiment, from at most 0.1 of traffic`,
    };
  }
  const first = policy.versions[0];
  if (first !== undefined && first.version !== version.version) {
    return {
      status: 'refused',
      message: `only the first version of a policy is bootstrapped: that is ${formatPolicyVersion(first)}`,
    };
  }
  await recordStatus(tx, version, { status: 'production', action: 'bootstrap', author, experiment: null });
  return { status: 'bootstrapped', version: { ...version, status: 'production' } };
}

/** Gives a version another status; with `production` it has been in production from then on. */
export async function setVersionStatus(
  tx: Connection,
  version: StoredPolicyVersion,
  status: StoredPolicyVersion['status'],
  author: ChangeAuthor,
  detail: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await tx.query(
    `UPDATE exp.policy_versions SET status = $2,
       first_production_at = CASE WHEN $2 = 'production' THEN coalesce(first_production_at, now()) ELSE first_production_at END
     WHERE id = $1`,
    [version.policyVersionId, status],
  );
  await writeAudit(tx, {
    action: `policy-version.${status}`,
    subject: `policy-version/${formatPolicyVersion(version)}`,
    detail: {
      ...detail,
      from: version.status,
      mlflow_model_name: version.modelName,
      mlflow_model_version: version.modelVersion,
    },
    author,
  });
}

async function recordStatus(
  tx: Connection,
  version: StoredPolicyVersion,
  entry: {
    status: StoredPolicyVersion['status'];
    action: 'bootstrap' | 'deliver-to-all' | 'retire';
    author: ChangeAuthor;
    experiment: Experiment | null;
  },
): Promise<void> {
  const { experiment, status, action, author } = entry;
  const named = experiment === null ? {} : { experiment: `${experiment.experimentKey}/${experiment.iteration}` };
  await setVersionStatus(tx, version, status, author, named);
  await addToLedger(tx, {
    action,
    author,
    experiment,
    policyVersionId: version.policyVersionId,
    from: { status: version.status },
    to: { status },
  });
}

/**
 * Records that a version is delivered to all units of an experiment from now on. One that was never in production is from then on, and
 * its predecessors are retired, as at the end of a promotion. Gives why not while the policy has a promotion under way.
 */
export async function recordDeliveryToAll(
  tx: Connection,
  delivery: { readonly policyVersionId: string; readonly experiment: Experiment },
  author: ChangeAuthor,
): Promise<string | null> {
  const { policyVersionId, experiment } = delivery;
  // A promotion takes this lock before that of its own experiment, on which no delivery gets here.
  await lockPolicies(tx);
  const policy = (await listPolicies(tx)).find(({ versions }) =>
    versions.some((version) => version.policyVersionId === policyVersionId),
  );
  const version = policy?.versions.find((known) => known.policyVersionId === policyVersionId);
  if (policy === undefined || version === undefined || version.firstProductionAt !== null) return null;
  const running = (await listRunning(tx)).find(({ policyId }) => policyId === policy.policyId);
  if (running !== undefined) {
    const { experimentKey: key } = running;
    return (
      `${formatPolicyVersion(version)} was never in production, and policy ${policy.name} has the promotion ${key} under way: ` +
      `\`ops promote finish ${key}\` or \`ops promote roll-back ${key}\` ends it`
    );
  }
  for (const earlier of policy.versions.filter(({ status }) => status === 'production'))
    await recordStatus(tx, earlier, { status: 'retired', action: 'retire', author, experiment });
  await recordStatus(tx, version, { status: 'production', action: 'deliver-to-all', author, experiment });
  return null;
}
