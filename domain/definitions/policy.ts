// Policies and their versions: which model a variant delivers, and which changes of them a file may ask for.

import { policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import { type DefinitionChange, diffDefinitions } from '#domain/experiment/definition-diff.ts';
import { asPolicyVersionId, type PolicyId, type PolicyVersionId } from '#domain/experiment/ids.ts';
import type { JsonObject } from '#domain/targeting/condition.ts';

export type PolicyVersion = {
  readonly policyVersionId: PolicyVersionId;
  readonly policyName: string;
  readonly version: number;
  readonly modelName: string;
  readonly modelVersion: string;
  /** Parameters where a variant gives none. */
  readonly configDefaults: JsonObject;
};

export type Policy<Version extends PolicyVersion = PolicyVersion> = {
  readonly policyId: PolicyId;
  readonly name: string;
  readonly description: string | null;
  readonly versions: readonly Version[];
};

export const policyVersionStatuses = ['candidate', 'production', 'retired'] as const;

export type StoredPolicyVersion = PolicyVersion & {
  readonly status: (typeof policyVersionStatuses)[number];
  /** When it first served all traffic; null while it must start at no more than a tenth of it. */
  readonly firstProductionAt: string | null;
};

export type StoredPolicy = Policy<StoredPolicyVersion>;

/** The name under which people refer to a version, such as `planner@2`. */
export function formatPolicyVersion({ policyName, version }: Pick<PolicyVersion, 'policyName' | 'version'>): string {
  return `${policyName}@${version}`;
}

const uuidShape = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const namedVersion = /^([^@]+)@([1-9]\d{0,6})$/;

/** The parts of a name such as `planner@2`, or null when the text is no such name. */
export function parsePolicyVersionName(text: string): Pick<PolicyVersion, 'policyName' | 'version'> | null {
  const [, policyName, version] = namedVersion.exec(text) ?? [];
  return policyName === undefined ? null : { policyName, version: Number(version) };
}

/** The policy version that a definition refers to by its id or as `policy@version`; null when the text is neither. */
export function resolvePolicyVersion(reference: string): PolicyVersionId | null {
  if (uuidShape.test(reference)) return asPolicyVersionId(reference.toLowerCase());
  const name = parsePolicyVersionName(reference);
  return name === null ? null : policyVersionIdOf(name.policyName, name.version);
}

export type PolicyVersionPlan =
  | { readonly action: 'create' | 'unchanged'; readonly version: PolicyVersion }
  | { readonly action: 'refuse'; readonly version: PolicyVersion; readonly problems: readonly PolicyProblem[] };

export type PolicyProblem = { readonly field: string; readonly message: string };

export type PolicyPlan = {
  readonly policy: Policy;
  readonly action: 'create' | 'change' | 'unchanged';
  readonly changes: readonly DefinitionChange[];
  readonly versions: readonly PolicyVersionPlan[];
};

/** Plans what becomes of a policy. Versions are only added: those that the file leaves out stay, and none ever changes. */
export function planPolicy(defined: Policy, stored: StoredPolicy | null): PolicyPlan {
  const changes = diffDefinitions(stored === null ? {} : { description: stored.description }, {
    description: defined.description,
  });
  return {
    policy: defined,
    action: stored === null ? 'create' : changes.length > 0 ? 'change' : 'unchanged',
    changes: stored === null ? [] : changes,
    versions: defined.versions.map((version) => planVersion(version, stored)),
  };
}

const fieldNames = {
  modelName: 'mlflow_model_name',
  modelVersion: 'mlflow_model_version',
  configDefaults: 'config_defaults',
} as const;

function planVersion(version: PolicyVersion, stored: StoredPolicy | null): PolicyVersionPlan {
  const current = stored?.versions.find((candidate) => candidate.version === version.version);
  if (current === undefined) return { action: 'create', version };
  const next = Math.max(...(stored?.versions ?? []).map((known) => known.version)) + 1;
  const problems = (Object.keys(fieldNames) as (keyof typeof fieldNames)[])
    .filter((property) => diffDefinitions(current[property], version[property]).length > 0)
    .map((property) => ({
      field: fieldNames[property],
      message:
        `${formatPolicyVersion(version)} has ${JSON.stringify(current[property])}, and a policy version never changes, ` +
        `because results refer to it: add version ${next}`,
    }));
  return problems.length === 0 ? { action: 'unchanged', version } : { action: 'refuse', version, problems };
}
