// Tests that policies only grow: versions are added and never changed or removed.
import { expect, test } from 'vitest';
import { policyIdOf, policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import { type Policy, type PolicyVersion, planPolicy, type StoredPolicy } from './policy.ts';

const versionOf = (version: number, modelVersion = String(version)): PolicyVersion => ({
  policyVersionId: policyVersionIdOf('planner', version),
  policyName: 'planner',
  version,
  modelName: 'planner-model',
  modelVersion,
  configDefaults: { temperature: 0.2 },
});

const policyOf = (versions: readonly PolicyVersion[], description: string | null = null): Policy => ({
  policyId: policyIdOf('planner'),
  name: 'planner',
  description,
  versions,
});

const stored: StoredPolicy = {
  ...policyOf([]),
  versions: [1, 2].map((version) => ({ ...versionOf(version), status: 'candidate', firstProductionAt: null })),
};

test('a policy that is not stored is created with its versions', () => {
  const plan = planPolicy(policyOf([versionOf(1)]), null);
  expect([plan.action, ...plan.versions.map(({ action }) => action)]).toEqual(['create', 'create']);
});

test('versions that are stored stay as they are, and new ones are added', () => {
  const plan = planPolicy(policyOf([versionOf(2), versionOf(3)], 'The planner'), stored);
  expect(plan.action).toBe('change');
  expect(plan.changes).toEqual([{ path: 'description', before: null, after: 'The planner' }]);
  expect(plan.versions.map(({ action }) => action)).toEqual(['unchanged', 'create']);
});

test('another model under a stored version is refused, and the refusal names the next version', () => {
  const [plan] = planPolicy(policyOf([versionOf(1, '9')]), stored).versions;
  expect(plan).toMatchObject({ action: 'refuse', problems: [{ field: 'mlflow_model_version' }] });
  expect(plan?.action === 'refuse' && plan.problems[0]?.message).toContain('planner@1 has "1"');
  expect(plan?.action === 'refuse' && plan.problems[0]?.message).toContain('add version 3');
});

test('other defaults under a stored version are refused, in whatever order their keys are written', () => {
  const same = { ...versionOf(1), configDefaults: { temperature: 0.2 } };
  const other = { ...versionOf(1), configDefaults: { temperature: 0.3 } };
  expect(planPolicy(policyOf([same]), stored).versions[0]?.action).toBe('unchanged');
  expect(planPolicy(policyOf([other]), stored).versions[0]).toMatchObject({ problems: [{ field: 'config_defaults' }] });
});
