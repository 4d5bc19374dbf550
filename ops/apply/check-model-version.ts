// Why a policy version may not be written: what MLflow says of the model version that it names.
import { formatPolicyVersion, type PolicyVersion } from '#domain/definitions/policy.ts';
import { describeError, RetryableError } from '#platform/errors.ts';
import type { ModelRegistry } from '#platform/mlflow/model-registry.ts';

/** Null when the registry has the model version and it is ready; else a sentence for the person who asked. */
export async function findModelProblem(models: ModelRegistry | null, policy: PolicyVersion): Promise<string | null> {
  const model = `model ${policy.modelName} version ${policy.modelVersion}`;
  if (models === null) {
    return (
      `${formatPolicyVersion(policy)} names ${model}, and MLFLOW_URL is not set, so nobody can tell whether it is registered: ` +
      'set MLFLOW_URL to the address of the MLflow server'
    );
  }
  try {
    const found = await models.lookUp(policy.modelName, policy.modelVersion);
    if (found.state === 'ready') return null;
    return `${formatPolicyVersion(policy)} names ${model}, which MLflow cannot give: ${found.explanation}`;
  } catch (error) {
    if (!(error instanceof RetryableError)) throw error;
    return `${formatPolicyVersion(policy)} names ${model}, which could not be checked: ${describeError(error)}. Try again when MLflow answers`;
  }
}
