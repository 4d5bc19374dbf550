// Starts a promotion in one transaction: policy version, a new iteration of its experiment at the first step, and the ledger.
import { FULL_SHARE } from '#domain/assignment/basis-points.ts';
import { policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import type { DefinitionBody } from '#domain/definitions/definition-body.ts';
import { formatPolicyVersion, type StoredPolicy, type StoredPolicyVersion } from '#domain/definitions/policy.ts';
import { diffDefinitions } from '#domain/experiment/definition-diff.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import { planLifecycleCommand } from '#domain/experiment/lifecycle.ts';
import { ARM_ALLOCATION, coverageOfShare, type RampPlan, toRampDocument } from '#domain/promotion/ramp-plan.ts';
import type { JsonObject } from '#domain/targeting/condition.ts';
import type { ModelRegistry } from '#platform/mlflow/model-registry.ts';
import type { ModelStages } from '#platform/mlflow/model-stages.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';
import { applyDefinition, changeCurrent } from '../definition-store/change-definition.ts';
import { type Connection, listIterations } from '../definition-store/definition-rows.ts';
import { findModelProblem } from '../definition-store/model-check.ts';
import { applyPolicies, listPolicies, lockPolicies } from '../definition-store/policy-rows.ts';
import type { ChangeAuthor } from '../definition-store/save-experiment.ts';
import { type Alignment, tagCandidate } from './align-models.ts';
import { type ModelVersionName, nameOf, requirePassedGate } from './gate-check.ts';
import { addToLedger, listRunning } from './promotion-ledger.ts';
import { PromotionRefusal } from './promotion-refusal.ts';
import { getPromotion, listPromotionIds, type Promotion } from './promotion-state.ts';

export type StartRequest = {
  readonly model: ModelVersionName;
  readonly policyName: string;
  /** Key of the experiment; `POLICY-promotion` when absent. */
  readonly experimentKey?: string | undefined;
  readonly unitType?: string | undefined;
  readonly plan: RampPlan;
  readonly metrics?: DefinitionBody['metrics'];
  readonly analysis?: DefinitionBody['analysis'];
  /** What the candidate's config_defaults have besides those of the version in production, or otherwise. */
  readonly params?: JsonObject | undefined;
  /** Why a model that has not passed the gate gets traffic all the same. */
  readonly force?: string | undefined;
};

export type PromotionDeps = {
  readonly pool: Pool;
  /** Null without MLFLOW_URL: then nothing is started, and MLflow stays behind. */
  readonly models: ModelRegistry | null;
  readonly stages: ModelStages | null;
};

/** Guardrails that hold whatever the baseline is: a learned planner is slower than rules, so waiting has a limit of its own. */
export const defaultPromotionMetrics = {
  primary: 'acceptance_rate',
  secondary: ['edits_per_plan', 'plan_alignment'],
  guardrails: [{ metric: 'slow_plans' }, { metric: 'acceptance_rate', direction: 'decrease', bound: 0.1 }],
} satisfies DefinitionBody['metrics'];

export type StartedPromotion = { readonly promotion: Promotion; readonly mlflow: Alignment };

/**
 * Refused without a passed gate for exactly this model version, for a version that MLflow does not have, and while the policy has a
 * promotion under way.
 * @throws PromotionRefusal with nothing written.
 */
export async function startPromotion(
  { pool, models, stages }: PromotionDeps,
  request: StartRequest,
  author: ChangeAuthor,
): Promise<StartedPromotion> {
  const { policyName, model, force, params = {} } = request;
  const planned = planVersion(getPolicy(await listPolicies(pool), policyName), model, params);
  // Asked before the transaction, so that no lock waits for MLflow.
  for (const version of [planned.candidate, planned.production]) {
    const problem = await findModelProblem(models, version);
    if (problem !== null) {
      throw new PromotionRefusal(problem.kind === 'missing' ? 'refused' : 'unchecked', 'model', problem.message);
    }
  }
  const experimentKey = request.experimentKey ?? `${policyName}-promotion`;
  await inTransaction(pool, async (tx) => {
    await lockPolicies(tx);
    const policy = getPolicy(await listPolicies(tx), policyName);
    await refuseSecond(tx, policy);
    const { candidate, production } = planVersion(policy, model, params);
    const replay = await requirePassedGate(tx, model, { isForced: force !== undefined });
    await applyPolicies(tx, [{ ...policy, versions: [candidate] }], author);
    await completeEnded(tx, experimentKey, author);
    const experiment = await startIteration(tx, { ...request, experimentKey, candidate, production }, author);
    await tx.query(
      'INSERT INTO exp.running_promotions (policy_id, policy_version_id, experiment_id) VALUES ($1, $2, $3)',
      [policy.policyId, candidate.policyVersionId, experiment.experimentId],
    );
    // Commit point: with this transaction the candidate gets traffic. The tag in MLflow follows.
    await addToLedger(tx, {
      action: 'start',
      policyVersionId: candidate.policyVersionId,
      experiment,
      from: { candidate_share: 0 },
      to: { candidate_share: request.plan.steps[0]! / FULL_SHARE },
      evidence: {
        replay,
        control: formatPolicyVersion(production),
        ...(force === undefined ? {} : { forced: force }),
        ramp: toRampDocument(request.plan),
      },
      author,
    });
  });
  return { promotion: await getPromotion(pool, experimentKey), mlflow: await tagCandidate(stages, model) };
}

function getPolicy(policies: readonly StoredPolicy[], name: string): StoredPolicy {
  const policy = policies.find((known) => known.name === name);
  if (policy !== undefined) return policy;
  const known = policies.map((one) => one.name).join(', ') || 'none';
  throw new PromotionRefusal(
    'unknown',
    'policy',
    `there is no policy ${name} (known: ${known}): apply it with its first version`,
  );
}

/** The version that the promotion is about, an earlier one of the same model or the next, and the one in production. */
function planVersion(
  policy: StoredPolicy,
  model: ModelVersionName,
  params: JsonObject,
): { candidate: StoredPolicyVersion; production: StoredPolicyVersion } {
  const production = policy.versions.findLast(({ status }) => status === 'production');
  if (production === undefined) {
    throw new PromotionRefusal(
      'refused',
      'policy',
      `policy ${policy.name} has no version in production to compare with: \`ops policies bootstrap ${policy.name}@1 --reason …\` declares the first`,
    );
  }
  if (production.modelName === model.name && production.modelVersion === String(model.version)) {
    throw new PromotionRefusal(
      'refused',
      'model',
      `${nameOf(model)} is in production already, as ${formatPolicyVersion(production)}`,
    );
  }
  const configDefaults = { ...production.configDefaults, ...params };
  const known = policy.versions.findLast(
    (version) =>
      version.modelName === model.name &&
      version.modelVersion === String(model.version) &&
      diffDefinitions(version.configDefaults, configDefaults).length === 0,
  );
  if (known !== undefined) return { candidate: known, production };
  const version = policy.versions.at(-1)!.version + 1;
  const candidate: StoredPolicyVersion = {
    policyVersionId: policyVersionIdOf(policy.name, version),
    policyName: policy.name,
    version,
    modelName: model.name,
    modelVersion: String(model.version),
    configDefaults,
    status: 'candidate',
    firstProductionAt: null,
  };
  return { candidate, production };
}

async function refuseSecond(tx: Connection, policy: StoredPolicy): Promise<void> {
  const running = (await listRunning(tx)).find(({ policyId }) => policyId === policy.policyId);
  if (running === undefined) return;
  const { rows } = await tx.query<{ key: string }>('SELECT key FROM exp.experiments WHERE id = $1', [
    running.experimentId,
  ]);
  throw new PromotionRefusal(
    'refused',
    'policy',
    `policy ${policy.name} has the promotion ${rows[0]!.key} under way: finish it or roll it back first (\`ops promote status ${rows[0]!.key}\`)`,
  );
}

/** A promotion that a guardrail ended is left paused, with delivery off: its iteration ends when the next one begins. */
async function completeEnded(tx: Connection, experimentKey: string, author: ChangeAuthor): Promise<void> {
  const latest = (await listIterations(tx, experimentKey)).at(-1)?.experiment;
  if (latest === undefined) return;
  if (!(await listPromotionIds(tx, experimentKey)).includes(latest.experimentId)) {
    throw new PromotionRefusal(
      'refused',
      'experiment',
      `the experiment ${experimentKey} is no promotion: give another key with --experiment`,
    );
  }
  if (latest.status !== 'running' && latest.status !== 'paused') return;
  const target = { keyOrId: latest.experimentId, expectedVersion: latest.version, author };
  await changeCurrent(tx, target, 'experiment.transition', (current) => {
    const plan = planLifecycleCommand(current, { kind: 'complete', winner: null });
    return plan.status === 'refused'
      ? { status: 'refused', problems: [{ field: 'experiment', message: plan.message }] }
      : plan;
  });
}

async function startIteration(
  tx: Connection,
  request: Omit<StartRequest, 'experimentKey'> & {
    readonly experimentKey: string;
    readonly candidate: StoredPolicyVersion;
    readonly production: StoredPolicyVersion;
  },
  author: ChangeAuthor,
): Promise<Experiment> {
  const { experimentKey, candidate, production, plan } = request;
  const iteration = ((await listIterations(tx, experimentKey)).at(-1)?.experiment.iteration ?? 0) + 1;
  const variantOf = (name: string, version: StoredPolicyVersion, isControl: boolean) => ({
    name,
    allocation: ARM_ALLOCATION / FULL_SHARE,
    is_control: isControl,
    config: { policy_version_id: version.policyVersionId, params: {} },
  });
  const result = await applyDefinition(
    tx,
    {
      key: experimentKey,
      iteration,
      name: `Promotion of ${formatPolicyVersion(candidate)}`,
      unit_type: request.unitType ?? 'household',
      status: 'running',
      exposure: 'implicit',
      hypothesis: `${nameOf(request.model)} is at least as good as ${production.modelName}/${production.modelVersion} for real units`,
      owner: author.actor.slice(0, 256),
      coverage: coverageOfShare(plan.steps[0]!) / FULL_SHARE,
      metrics: request.metrics ?? defaultPromotionMetrics,
      ...(request.analysis === undefined ? {} : { analysis: request.analysis }),
      ramp: toRampDocument(plan) as Record<string, unknown>,
      variants: [variantOf('control', production, true), variantOf('candidate', candidate, false)],
    },
    author,
    { isGated: true },
  );
  if (result.status === 'created') return result.experiment;
  const problems = 'problems' in result ? result.problems : [{ field: 'experiment', message: `is ${result.status}` }];
  throw new PromotionRefusal(
    result.status === 'invalid' ? 'invalid' : 'refused',
    problems[0]!.field,
    problems.map(({ field, message }) => `${field}: ${message}`).join('; '),
  );
}
