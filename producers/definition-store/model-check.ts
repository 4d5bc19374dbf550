// Why a policy version may not be used: what MLflow says of the model version that it names.
import type { DefinitionFieldProblem } from '#domain/definitions/definition-body.ts';
import { policyReferenceField } from '#domain/definitions/definition-body.ts';
import { formatPolicyVersion, type PolicyVersion } from '#domain/definitions/policy.ts';
import { type Experiment, policyVersionIdIn } from '#domain/experiment/experiment.ts';
import { describeError, RetryableError } from '#platform/errors.ts';
import type { ModelRegistry } from '#platform/mlflow/model-registry.ts';
import type { Connection } from './definition-rows.ts';
import { listPolicies } from './policy-rows.ts';

/** `unchecked`: MLflow could not be asked, so nobody knows; `message` is for the person who wants the change. */
export type ModelProblem = { readonly kind: 'missing' | 'unchecked'; readonly message: string };

/** Null when the registry has the model version and it is ready. */
export async function findModelProblem(
  models: ModelRegistry | null,
  policy: PolicyVersion,
): Promise<ModelProblem | null> {
  const named = `${formatPolicyVersion(policy)} names model ${policy.modelName} version ${policy.modelVersion}`;
  if (models === null) {
    return {
      kind: 'unchecked',
      message:
        `${named}, and MLFLOW_URL is not set, so nobody can tell whether it is registered: ` +
        'set MLFLOW_URL to the address of the MLflow server',
    };
  }
  try {
    const found = await models.lookUp(policy.modelName, policy.modelVersion);
    if (found.state === 'ready') return null;
    return { kind: 'missing', message: `${named}, which MLflow cannot give: ${found.explanation}` };
  } catch (error) {
    if (!(error instanceof RetryableError)) throw error;
    return {
      kind: 'unchecked',
      message: `${named}, which could not be checked: ${describeError(error)}. Try again when MLflow answers`,
    };
  }
}

export type ModelCheckResult =
  | { readonly status: 'passed' }
  | { readonly status: 'invalid' | 'unchecked'; readonly problems: readonly DefinitionFieldProblem[] };

/** Asks for every policy version that an experiment delivers; the caller's transaction waits for MLflow. */
export type ModelCheck = (tx: Connection, experiment: Experiment) => Promise<ModelCheckResult>;

export function createModelCheck(models: ModelRegistry | null): ModelCheck {
  return async (tx, { variants }) => {
    const references = variants.flatMap(({ config }, index) => {
      const policyVersionId = policyVersionIdIn(config);
      return policyVersionId === null ? [] : [{ policyVersionId, field: policyReferenceField(index) }];
    });
    if (references.length === 0) return { status: 'passed' };
    const known = new Map<string, PolicyVersion>(
      (await listPolicies(tx)).flatMap(({ versions }) =>
        versions.map((version) => [version.policyVersionId, version] as const),
      ),
    );
    const asked = new Map<string, Promise<ModelProblem | null>>();
    for (const { policyVersionId } of references) {
      const version = known.get(policyVersionId);
      if (version !== undefined && !asked.has(policyVersionId)) {
        asked.set(policyVersionId, findModelProblem(models, version));
      }
    }
    const found = await Promise.all(
      references.map(async ({ policyVersionId, field }) => ({ field, problem: await asked.get(policyVersionId) })),
    );
    const problems = found.flatMap(({ field, problem }) =>
      problem == null ? [] : [{ field, message: problem.message, kind: problem.kind }],
    );
    if (problems.length === 0) return { status: 'passed' };
    const isMissing = problems.some(({ kind }) => kind === 'missing');
    return {
      status: isMissing ? 'invalid' : 'unchecked',
      problems: problems.map(({ field, message }) => ({ field, message })),
    };
  };
}
