// Tests of which planner a household gets, and with which parameters.
import { expect, test } from 'vitest';
import { policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import type { StoredPolicyVersion } from '#domain/definitions/policy.ts';
import type { AssignmentAnswer } from './assignment-client.ts';
import { toPolicyVersions } from './policy-directory.ts';
import { resolvePlanner } from './resolve-planner.ts';

const version = (number: number, change: Partial<StoredPolicyVersion> = {}): StoredPolicyVersion => ({
  policyVersionId: policyVersionIdOf('planner', number),
  policyName: 'planner',
  version: number,
  modelName: 'planner_model',
  modelVersion: String(number),
  configDefaults: {},
  status: 'candidate',
  firstProductionAt: null,
  ...change,
});
const rules = version(1, { modelName: 'planner-rule-based', status: 'production' });
const candidate = version(2, { configDefaults: { deadline_ms: 500, batch_wait_ms: 5, max_dinners: 7 } });
const foreignId = policyVersionIdOf('another', 1);
const policies = toPolicyVersions([rules, candidate], new Set([foreignId]), new Set([candidate.policyVersionId]));

const assignment = (key: string, config: AssignmentAnswer['config']): AssignmentAnswer => ({
  experiment_id: '11111111-1111-4111-8111-111111111111',
  experiment_key: key,
  variant_id: '22222222-2222-4222-8222-222222222222',
  variant_name: 'candidate',
  assigned_variant_id: null,
  config,
});
const resolve = (...assignments: AssignmentAnswer[]) => resolvePlanner({ assignments }, policies, 'planner-rule-based');

test('the variant decides, and its params win over the defaults of the version', () => {
  const params = { deadline_ms: 900, color: 'blue' };
  expect(
    resolve(assignment('a', { policy_version_id: candidate.policyVersionId.toUpperCase(), params })),
  ).toMatchObject({
    version: { version: 2 },
    model: 'planner_model/2',
    parameters: { deadline_ms: 900, batch_wait_ms: 5 },
    fallbackReason: null,
  });
});

test('without a variant that names a version of the policy, the production version plans', () => {
  const others = [assignment('a', { params: {} }), assignment('b', { policy_version_id: foreignId, params: {} })];
  for (const choice of [resolve(), resolve(...others)]) {
    expect(choice).toMatchObject({ version: { version: 1 }, assignment: null, model: null, fallbackReason: null });
  }
});

test('of two experiments with a version the first by key decides, whatever order they come in', () => {
  const first = assignment('a', { policy_version_id: rules.policyVersionId, params: {} });
  const second = assignment('b', { policy_version_id: candidate.policyVersionId, params: {} });
  for (const order of [
    [first, second],
    [second, first],
  ]) {
    expect(resolve(...order).assignment?.experiment_key).toBe('a');
  }
});

test('an unknown version leaves the one in production, and parameters out of bounds leave none, each with its reason', () => {
  const unknown = policyVersionIdOf('planner', 9);
  expect(resolve(assignment('a', { policy_version_id: unknown, params: { deadline_ms: 50 } }))).toMatchObject({
    version: { version: 1 },
    parameters: {},
    fallbackReason: 'unknown-policy-version',
  });
  for (const params of [{ deadline_ms: 0 }, { batch_wait_ms: '5' }, { temperature: 0 }]) {
    expect(resolve(assignment('a', { policy_version_id: candidate.policyVersionId, params }))).toMatchObject({
      model: 'planner_model/2',
      parameters: {},
      fallbackReason: 'invalid-parameters',
    });
  }
});

test('a policy without a version in production leaves the rules of this release', () => {
  const none = toPolicyVersions([candidate], new Set(), new Set());
  expect(resolvePlanner({ assignments: [] }, none, 'planner-rule-based')).toMatchObject({ version: null, model: null });
  expect(none.live).toEqual([]);
  expect(policies.live.map((live) => live.version)).toEqual([1, 2]);
});
