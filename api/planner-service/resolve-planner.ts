// Which planner a household gets: the policy version of its variant, else the one in production, else the rules of this release.
import type { StoredPolicyVersion } from '#domain/definitions/policy.ts';
import type { AssignmentAnswer, HouseholdAssignments } from './assignment-client.ts';
import type { FallbackReason } from './fallback-reason.ts';
import type { PolicyVersions } from './policy-directory.ts';
import { parseServingParameters, type ServingParameters } from './serving-parameters.ts';

export type PlannerChoice = {
  /** The version that is meant; null where the policy has none in production and the household is in no experiment with one. */
  readonly version: StoredPolicyVersion | null;
  /** The experiment whose variant decided; null where none did. */
  readonly assignment: AssignmentAnswer | null;
  /** The model to ask, such as planner_model/3; null for the rules. */
  readonly model: string | null;
  readonly parameters: ServingParameters;
  /** Why the rules plan although something else was meant to; null while nothing is wrong. */
  readonly fallbackReason: FallbackReason | null;
};

/** The name of a model version as the inference process and people call it. */
export const nameOfModel = ({ modelName, modelVersion }: Pick<StoredPolicyVersion, 'modelName' | 'modelVersion'>) =>
  `${modelName}/${modelVersion}`;

/**
 * Pure. Of several experiments that deliver a version of the policy the first by key decides. An id that the policy does not have means
 * that this process has not heard of it: the caller looks again once before it takes the production version.
 */
export function resolvePlanner(
  { assignments }: Pick<HouseholdAssignments, 'assignments'>,
  policies: PolicyVersions,
  rulesModelName: string,
): PlannerChoice {
  const deciding = assignments
    .filter(({ config }) => config.policy_version_id !== undefined && !policies.isOfAnother(config.policy_version_id))
    .sort((a, b) => (a.experiment_key < b.experiment_key ? -1 : 1))[0];
  const wanted = deciding?.config.policy_version_id;
  const found = wanted === undefined ? policies.production : policies.find(wanted);
  const version = found ?? policies.production;
  const parsed = parseServingParameters(
    version?.configDefaults ?? {},
    found === null ? {} : (deciding?.config.params ?? {}),
  );
  const usesRules = version === null || version.modelName === rulesModelName;
  return {
    version,
    assignment: deciding ?? null,
    model: usesRules ? null : nameOfModel(version),
    parameters: parsed.ok ? parsed.parameters : {},
    fallbackReason:
      wanted !== undefined && found === null ? 'unknown-policy-version' : parsed.ok ? null : 'invalid-parameters',
  };
}
