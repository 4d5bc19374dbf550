// Plans and carries out definition files: rehearsed in a transaction that is rolled back, checked against MLflow, then done in one.
import { createDefinitionSet, type DefinitionSet, type SourceFile } from '#domain/definitions/definition-set.ts';
import type { PolicyPlan, PolicyVersion } from '#domain/definitions/policy.ts';
import type { LocatedProblem } from '#domain/definitions/yaml-source.ts';
import { FatalError } from '#platform/errors.ts';
import type { ModelRegistry } from '#platform/mlflow/model-registry.ts';
import { inTransaction, type Pool, type PoolClient } from '#platform/postgres/pool.ts';
import { applyDefinition, type ChangeResult } from '#producers/definition-store/change-definition.ts';
import { applyMetrics, type MetricChange } from '#producers/definition-store/metric-rows.ts';
import { findModelProblem } from '#producers/definition-store/model-check.ts';
import { applyPolicies, listPolicies } from '#producers/definition-store/policy-rows.ts';
import type { ChangeAuthor } from '#producers/definition-store/save-experiment.ts';
import { isRefused, listPlanItems, type PlanItem } from './plan-items.ts';

export type ApplyOutcome =
  /** The files are wrong in themselves; no plan can be made. */
  | { readonly status: 'invalid'; readonly problems: readonly LocatedProblem[] }
  /** `applied` wrote all of the plan; `planned` and `refused` wrote nothing. */
  | { readonly status: 'planned' | 'refused' | 'applied'; readonly items: readonly PlanItem[] };

export type ApplyRequest = {
  readonly pool: Pool;
  readonly models: ModelRegistry | null;
  readonly files: readonly SourceFile[];
  readonly author: ChangeAuthor;
  readonly dryRun: boolean;
};

type Effects = {
  readonly policies: readonly PolicyPlan[];
  readonly metrics: readonly MetricChange[];
  readonly experiments: readonly ChangeResult[];
};

/** Policies and metrics first, so that experiments may refer to those of the same files. */
async function writeAll(tx: PoolClient, set: DefinitionSet, author: ChangeAuthor): Promise<Effects> {
  const policies = await applyPolicies(
    tx,
    set.policies.map(({ policy }) => policy),
    author,
  );
  const metrics = await applyMetrics(
    tx,
    set.metrics.map(({ body }) => body),
    author,
  );
  const experiments: ChangeResult[] = [];
  for (const { body } of set.experiments) experiments.push(await applyDefinition(tx, body, author));
  return { policies, metrics, experiments };
}

/** What writing would do, by doing it and taking it back: a plan that cannot differ from its execution. */
async function rehearse(pool: Pool, set: DefinitionSet, author: ChangeAuthor): Promise<Effects> {
  const tx = await pool.connect();
  try {
    await tx.query('BEGIN');
    return await writeAll(tx, set, author);
  } finally {
    await tx.query('ROLLBACK').then(
      () => tx.release(),
      (error: Error) => tx.release(error),
    );
  }
}

/** Policy versions that the effects would put into use, each with the problems that a missing model is for whoever names it. */
async function findModelProblems(
  { pool, models }: Pick<ApplyRequest, 'pool' | 'models'>,
  set: DefinitionSet,
  effects: Effects,
): Promise<LocatedProblem[]> {
  const versions = new Map<string, PolicyVersion>();
  for (const { versions: stored } of await listPolicies(pool)) {
    for (const version of stored) versions.set(version.policyVersionId, version);
  }
  for (const { policy } of set.policies) {
    for (const version of policy.versions) versions.set(version.policyVersionId, version);
  }
  const namedBy = new Map<string, ((message: string) => LocatedProblem)[]>();
  const addName = (id: string, toProblem: (message: string) => LocatedProblem): void => {
    namedBy.set(id, [...(namedBy.get(id) ?? []), toProblem]);
  };
  effects.policies.forEach((plan, index) => {
    plan.versions.forEach(({ action, version }, position) => {
      const problemAt = set.policies[index]?.problemAt;
      if (action !== 'create' || problemAt === undefined) return;
      addName(version.policyVersionId, (message) => problemAt(`versions[${position}].mlflow_model_version`, message));
    });
  });
  effects.experiments.forEach(({ status }, index) => {
    const experiment = set.experiments[index];
    if ((status !== 'created' && status !== 'changed') || experiment === undefined) return;
    for (const { policyVersionId, field } of experiment.references) {
      addName(policyVersionId, (message) => experiment.problemAt(field, message));
    }
  });
  const problems: LocatedProblem[] = [];
  for (const [id, names] of namedBy) {
    const version = versions.get(id);
    const problem = version === undefined ? null : await findModelProblem(models, version);
    if (problem !== null) problems.push(...names.map((toProblem) => toProblem(problem.message)));
  }
  return problems;
}

/** Plans the files and, unless it is a dry run or something is refused, carries the whole plan out in one transaction. */
export async function applyDefinitions(request: ApplyRequest): Promise<ApplyOutcome> {
  const { pool, files, author } = request;
  const stored = new Set<string>(
    (await listPolicies(pool)).flatMap(({ versions }) => versions.map(({ policyVersionId }) => policyVersionId)),
  );
  const created = createDefinitionSet(files, (id) => stored.has(id));
  if (!created.ok) return { status: 'invalid', problems: created.problems };
  const { set } = created;
  const rehearsal = await rehearse(pool, set, author);
  const modelProblems = await findModelProblems(request, set, rehearsal);
  const items = listPlanItems(set, rehearsal, modelProblems);
  if (items.some(isRefused)) return { status: 'refused', items };
  if (request.dryRun) return { status: 'planned', items };
  await inTransaction(pool, async (tx) => {
    const effects = await writeAll(tx, set, author);
    const done = listPlanItems(set, effects, []);
    if (summarize(done) !== summarize(items)) {
      throw new FatalError('nothing was applied: definitions changed while the plan was made. Plan again', {
        code: 'unexpected',
      });
    }
  });
  return { status: 'applied', items };
}

const summarize = (items: readonly PlanItem[]): string => JSON.stringify(items);
