// Policy versions over HTTP on two instances with a real MLflow: what may be named, how far a new one starts, and what promotion records.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { policyIdOf } from '#domain/assignment/deterministic-ids.ts';
import type { DefinitionBody } from '#domain/definitions/definition-body.ts';
import { type Policy, resolvePolicyVersion } from '#domain/definitions/policy.ts';
import type { PolicyVersionId } from '#domain/experiment/ids.ts';
import { createMlflowClient, type MlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelStages, productionAlias } from '#platform/mlflow/model-stages.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import { applyPolicies, bootstrapPolicyVersion } from '#producers/definition-store/policy-rows.ts';
import { addApiKey, type ServiceInstance, startInstance, testKey } from '#tests/support/assignment-service-instance.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { startTestMlflow, type TestMlflow } from '#tests/support/mlflow.ts';
import { storeVerdict } from '#tests/support/replays.ts';
import { stackEndpoints } from '#tests/support/stack.ts';

const author = { actor: 'test', reason: 'a test' };
const modelName = `served-${randomBytes(4).toString('hex')}`;
let mlflow: TestMlflow;
let client: MlflowClient;
let database: TestDatabase;
let topics: TestTopics;
let service: ServiceInstance;
let other: ServiceInstance;
/** Cannot ask: its MLflow is not there. */
let cutOff: ServiceInstance;
let instances: ServiceInstance[] = [];
let count = 0;
let key: string;

beforeAll(async () => {
  mlflow = await startTestMlflow();
  client = createMlflowClient({ url: mlflow.url });
  await client.request({ method: 'POST', path: 'registered-models/create', body: { name: modelName } });
  database = await createTestDatabase();
  topics = await createTestTopics(['assignments', 'definitions']);
  await addApiKey(database, testKey);
  const start = (name: string, mlflowUrl: string | undefined) =>
    startInstance({
      database,
      kafka: { brokers: stackEndpoints().kafka.brokers, namespace: topics.namespace },
      registryUrl: stackEndpoints().schemaRegistry.url,
      name,
      settings: { mlflowUrl },
    });
  [service, other, cutOff] = await Promise.all([
    start('one', mlflow.url),
    start('two', mlflow.url),
    start('cut off', 'http://127.0.0.1:9'),
  ]);
  instances = [service, other, cutOff];
}, 600_000);
afterAll(async () => {
  await Promise.all(instances.map((instance) => instance.stop()));
  await topics?.drop();
  await database?.drop();
  await mlflow?.stop();
});

/** A policy of its own for each test: the first version is in production, the second one is new. */
beforeEach(async () => {
  count += 1;
  key = `experiment-${count}`;
  const versions = [];
  for (const version of [1, 2]) {
    const body = { name: modelName, source: `s3://test-models/${count}-${version}` };
    const answer = await client.request({ method: 'POST', path: 'model-versions/create', body, isRepeatable: true });
    if (!answer.ok) throw new Error(answer.refusal.message);
    const { model_version: created } = answer.value as { model_version: { version: string } };
    versions.push({
      policyVersionId: resolvePolicyVersion(`policy-${count}@${version}`) as PolicyVersionId,
      policyName: `policy-${count}`,
      version,
      modelName,
      modelVersion: created.version,
      configDefaults: {},
    });
  }
  const policy: Policy = {
    policyId: policyIdOf(`policy-${count}`),
    name: `policy-${count}`,
    description: null,
    versions,
  };
  await inTransaction(database.pool, async (tx) => {
    await applyPolicies(tx, [policy], author);
    await bootstrapPolicyVersion(tx, { name: policy.name, version: 1 }, author);
  });
  const { modelVersion } = versions[1]!;
  await storeVerdict(database.pool, { model: { name: modelName, version: modelVersion }, verdict: 'pass' });
});

const body = (overrides: Partial<DefinitionBody> = {}): DefinitionBody => ({
  key,
  unit_type: 'household',
  status: 'running',
  variants: [
    { name: 'control', allocation: 0.5, config: { policy_version_id: `policy-${count}@1` } },
    { name: 'candidate', allocation: 0.5, config: { policy_version_id: `policy-${count}@2`, params: { n: 1 } } },
  ],
  ...overrides,
});
const define = (overrides: Partial<DefinitionBody> = {}, instance = service) =>
  instance.call('POST', '/v1/experiments', body(overrides));
const change = (what: string, request: object, instance = service) =>
  instance.call('POST', `/v1/experiments/${key}/${what}`, { reason: 'test', ...request });
/** In the order of the versions. */
const statuses = async (): Promise<string[]> => {
  const { rows } = await database.pool.query<{ status: string }>(
    `SELECT v.status FROM exp.policy_versions v JOIN exp.policies p ON p.id = v.policy_id WHERE p.name = $1 ORDER BY v.version`,
    [`policy-${count}`],
  );
  return rows.map(({ status }) => status);
};
const modelVersionOf = async (version: number): Promise<string> => {
  const { rows } = await database.pool.query<{ model: string }>(
    'SELECT mlflow_model_version AS model FROM exp.policy_versions WHERE id = $1',
    [resolvePolicyVersion(`policy-${count}@${version}`)],
  );
  return rows[0]!.model;
};
const firstProduction = async (): Promise<boolean[]> => {
  const { rows } = await database.pool.query<{ was: boolean }>(
    `SELECT v.first_production_at IS NOT NULL AS was FROM exp.policy_versions v JOIN exp.policies p ON p.id = v.policy_id
     WHERE p.name = $1 ORDER BY v.version`,
    [`policy-${count}`],
  );
  return rows.map(({ was }) => was);
};
async function deleteModelOf(version: number): Promise<void> {
  const answer = await fetch(`${mlflow.url}/api/2.0/mlflow/model-versions/delete`, {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: modelName, version: await modelVersionOf(version) }),
  });
  expect(answer.status).toBe(200);
}

test('policy@version is stored as the id, and a new version starts at a tenth of traffic with a note', async () => {
  const answer = await define();
  expect(answer).toMatchObject({
    status: 201,
    body: {
      coverage: 0.2,
      variants: [{}, { config: { policy_version_id: resolvePolicyVersion(`policy-${count}@2`), params: { n: 1 } } }],
      notes: [expect.stringContaining(`policy-${count}@2 (candidate) would get 0.5 of traffic`)],
    },
  });
  const shares = Array.from({ length: 400 }, (_, index) =>
    (index % 2 === 0 ? service : other).call('POST', '/v1/assignments', {
      unit_type: 'household',
      unit_id: `household-${index}`,
      requested_experiments: [key],
    }),
  );
  const answers = (await Promise.all(shares)).map((one) => one.body as { assignments: { variant_name: string }[] });
  const given = answers.filter(({ assignments }) => assignments[0]?.variant_name === 'candidate').length;
  const { rows } = await database.pool.query<{ stored: number }>(
    `SELECT count(*)::integer AS stored FROM exp.assignments a JOIN exp.variants v ON v.id = a.variant_id
     JOIN exp.experiments x ON x.id = a.experiment_id WHERE x.key = $1 AND v.name = 'candidate'`,
    [key],
  );
  expect(given).toBe(rows[0]?.stored);
  // A tenth of 400, and four standard deviations more.
  expect(given).toBeLessThan(64);
});

test('neither coverage nor delivery to all gets around the limit before units are enrolled', async () => {
  expect((await define({ starts_at: '2100-01-01T00:00:00Z' })).body).toMatchObject({ coverage: 0.2 });
  expect(await change('coverage', { coverage: 1, expected_version: 1 }, other)).toMatchObject({
    status: 409,
    body: { field: 'coverage', message: expect.stringContaining('coverage may be at most 0.2 until') },
  });
  const toAll = { mode: 'all_to', variant: 'candidate', expected_version: 1 };
  expect(await change('serving', toAll, other)).toMatchObject({ status: 409, body: { field: 'mode' } });
  const completed = { to: 'completed', winner: 'candidate', expected_version: 1 };
  expect(await change('transitions', completed)).toMatchObject({ status: 409, body: { field: 'to' } });
  expect((await change('serving', { ...toAll, variant: 'control' })).status).toBe(200);
  expect(await firstProduction()).toEqual([true, false]);
});

test('a draft is raised and then starts at a tenth all the same; afterwards a ramp is a decision on record', async () => {
  await define({ status: 'draft', coverage: 0.1 });
  expect((await change('coverage', { coverage: 1, expected_version: 1 })).body).toMatchObject({ coverage: 1 });
  const started = await change('transitions', { to: 'running', expected_version: 2 }, other);
  expect(started.body).toMatchObject({ status: 'running', coverage: 0.2, notes: [expect.any(String)] });
  expect((await change('coverage', { coverage: 0.5, expected_version: 3 })).body).toMatchObject({ coverage: 0.5 });
});

test('from delivery to all on, a version was in production and is not held back any more', async () => {
  await define();
  expect(await firstProduction()).toEqual([true, false]);
  const promoted = await change('transitions', { to: 'completed', winner: 'candidate', expected_version: 1 });
  expect(promoted.status).toBe(200);
  expect(await firstProduction()).toEqual([true, true]);
  expect((await define({ iteration: 2 })).body).toMatchObject({ status: 'running', coverage: 1, notes: [] });
});

test('a version that is delivered to all replaces the one in production, in MLflow too; not beside a promotion', async () => {
  await define();
  const candidate = await modelVersionOf(2);
  const promotion = { model: `${modelName}/${candidate}`, policy: `policy-${count}`, reason: 'test' };
  expect((await service.call('POST', '/v1/promotions', promotion)).status).toBe(201);
  const completed = { to: 'completed', winner: 'candidate', expected_version: 1 };
  const promotionKey = `policy-${count}-promotion`;
  expect(await change('transitions', completed, other)).toMatchObject({
    status: 409,
    body: { field: 'to', message: expect.stringContaining(`ops promote finish ${promotionKey}`) },
  });
  expect(await statuses()).toEqual(['production', 'candidate']);
  expect((await service.call('POST', `/v1/promotions/${promotionKey}/roll-back`, { reason: 'test' })).status).toBe(200);
  expect(await change('transitions', completed, other)).toMatchObject({
    status: 200,
    body: { notes: [expect.stringContaining(`${modelName}/${candidate} is production`)] },
  });
  expect(await statuses()).toEqual(['retired', 'production']);
  expect(await createModelStages(client).findAlias(modelName, productionAlias)).toBe(Number(candidate));
  const { rows } = await database.pool.query(
    `SELECT l.action FROM exp.promotions l JOIN exp.policy_versions v ON v.id = l.policy_version_id
     JOIN exp.policies p ON p.id = v.policy_id WHERE p.name = $1 ORDER BY l.id`,
    [`policy-${count}`],
  );
  expect(rows.map(({ action }) => action)).toEqual(['bootstrap', 'start', 'roll-back', 'retire', 'deliver-to-all']);
});

test('a model that was deleted is refused where it is named and where a draft would start', async () => {
  await define({ status: 'draft' });
  await deleteModelOf(2);
  const problem = {
    field: 'variants[1].config.policy_version_id',
    message: expect.stringContaining('which MLflow cannot give: it does not exist (or was deleted)'),
  };
  expect(await change('transitions', { to: 'running', expected_version: 1 })).toMatchObject({
    status: 400,
    body: problem,
  });
  expect(await define({ key: `${key}-new` })).toMatchObject({ status: 400, body: problem });
  const { rows } = await database.pool.query('SELECT status, version FROM exp.experiments WHERE key LIKE $1', [
    `${key}%`,
  ]);
  expect(rows).toEqual([{ status: 'draft', version: 1 }]);
});

test('without MLflow nothing new is defined, and what is defined goes on', async () => {
  await define();
  expect(await define({ key: `${key}-new` }, cutOff)).toMatchObject({
    status: 503,
    body: { code: 'unavailable', message: expect.stringContaining('MLflow at http://127.0.0.1:9 cannot be reached') },
  });
  // Nothing changes, so there is nothing to ask.
  expect((await define({}, cutOff)).status).toBe(200);
  const unit = { unit_type: 'household', unit_id: 'any', requested_experiments: [key] };
  expect((await cutOff.call('POST', '/v1/assignments', unit)).status).toBe(200);
});

test.each([
  ['a policy version that is not defined', 'policy-0@1', 'there is no policy version policy-0@1'],
  ['a text that is no reference', 'planner', 'neither the id of a policy version nor policy@version'],
])('%s is refused with its place', async (_, reference, message) => {
  const variants = [{ name: 'only', allocation: 1, config: { policy_version_id: reference } }];
  expect(await define({ variants })).toMatchObject({
    status: 400,
    body: { field: 'variants[0].config.policy_version_id', message: expect.stringContaining(message) },
  });
});

test('a model without a passed gate is defined as a draft, and gets no traffic, however it is asked for', async () => {
  await database.pool.query('DELETE FROM exp.offline_replay_results');
  const problem = {
    status: 409,
    body: {
      code: 'refused',
      field: 'variants[1].config.policy_version_id',
      message: expect.stringContaining('has not passed the gate: no replay has judged it'),
    },
  };
  expect(await define()).toMatchObject(problem);
  expect(await define({ status: 'draft' })).toMatchObject({ status: 201 });
  expect(await change('transitions', { to: 'running', expected_version: 1 })).toMatchObject(problem);
  expect(await define()).toMatchObject(problem);
});

test('a promotion over HTTP needs the gate, begins at its first step on both instances, waits, and is finished and taken back', async () => {
  const { rows } = await database.pool.query<{ model: string }>(
    'SELECT mlflow_model_version AS model FROM exp.policy_versions WHERE id = $1',
    [resolvePolicyVersion(`policy-${count}@2`)],
  );
  await database.pool.query('DELETE FROM exp.offline_replay_results');
  const start = {
    model: `${modelName}/${rows[0]!.model}`,
    policy: `policy-${count}`,
    experiment: key,
    steps: [0.02, 0.5],
    min_seconds: 0,
    reason: 'a test',
  };
  const post = (path: string, request: object = { reason: 'a test' }) =>
    service.call('POST', `/v1/promotions${path}`, request);
  expect(await post('', start)).toMatchObject({
    status: 409,
    body: { code: 'refused', field: 'model', message: expect.stringContaining('has not passed the gate') },
  });
  expect(await post('', { ...start, policy: 'nowhere' })).toMatchObject({ status: 400, body: { field: 'policy' } });
  expect(await post('', { ...start, steps: [0.2] })).toMatchObject({ status: 400, body: { field: 'steps' } });
  expect(await other.call('POST', '/v1/promotions', start, { key: null })).toMatchObject({ status: 401 });

  const started = await post('', { ...start, force: 'nobody has replayed it' });
  expect(started).toMatchObject({
    status: 201,
    body: { experiment_key: key, state: 'running', policy_version: `policy-${count}@2`, candidate_share: 0.02 },
  });
  expect(started.body).toMatchObject({ mlflow: { status: 'in line' } });
  const ask = async (instance: ServiceInstance, unit: string) =>
    (await instance.call('POST', '/v1/assignments', {
      unit_type: 'household',
      unit_id: unit,
      requested_experiments: [key],
    })) as unknown as { body: { assignments: { variant_name: string }[] } };
  const units = Array.from({ length: 300 }, (_, index) => `promoted-${index}`);
  const answers = await Promise.all(units.map((unit, index) => ask(index % 2 === 0 ? service : other, unit)));
  const enrolled = answers.filter(({ body: given }) => given.assignments.length > 0).length;
  expect(enrolled).toBeGreaterThan(0);
  expect(enrolled).toBeLessThan(40);

  expect(await post(`/${key}/check`)).toMatchObject({
    status: 200,
    body: { decision: 'wait', units: { control: 0, candidate: 0 }, candidate_share: 0.02 },
  });
  expect(await post(`/${key}/approve`)).toMatchObject({ status: 200, body: { approved: true } });
  expect(
    await service.call('POST', `/v1/experiments/${key}/coverage`, { coverage: 1, expected_version: 1, reason: 'x' }),
  ).toMatchObject({
    status: 409,
    body: { message: expect.stringContaining('its ramp raises the coverage') },
  });
  expect(await post(`/${key}/finish`)).toMatchObject({
    status: 409,
    body: { message: expect.stringContaining('is not at the end of its ramp') },
  });
  expect(await post(`/${key}/finish`, { reason: 'a test', force: 'a hurry' })).toMatchObject({
    status: 200,
    body: { state: 'finished', candidate_share: 1, mlflow: { status: 'in line' } },
  });
  expect((await ask(service, 'never-asked')).body.assignments).toMatchObject([{ variant_name: 'candidate' }]);
  expect(await post(`/${key}/roll-back`)).toMatchObject({ status: 200, body: { state: 'rolled-back' } });
  expect((await ask(service, 'never-asked')).body.assignments).toMatchObject([{ variant_name: 'control' }]);
  const shown = await service.call('GET', `/v1/promotions/${key}`);
  expect(shown.body).toMatchObject({
    decision: 'rolled-back',
    ledger: { length: 6, 0: { action: 'start', actor: `name of ${testKey}` } },
  });
  expect(await service.call('GET', '/v1/promotions/nothing')).toMatchObject({
    status: 404,
    body: { code: 'unknown-promotion' },
  });
  const listed = (await service.call('GET', '/v1/promotions')).body as { promotions: { experiment_key: string }[] };
  expect(listed.promotions.map((one) => one.experiment_key)).toContain(key);
});
