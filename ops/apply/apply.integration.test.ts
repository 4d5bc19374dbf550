// Tests definitions as code against real Postgres and a real MLflow: plan, apply, refusals with their place, round trip.
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createMlflowClient, type MlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelRegistry, type ModelRegistry } from '#platform/mlflow/model-registry.ts';
import { createModelStages, type ModelStages } from '#platform/mlflow/model-stages.ts';
import { listDefinitions } from '#producers/definition-store/definition-rows.ts';
import { listPolicies } from '#producers/definition-store/policy-rows.ts';
import { registerBaseline } from '#producers/definition-store/register-baseline.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { startTestMlflow, type TestMlflow } from '#tests/support/mlflow.ts';
import { storeVerdict } from '#tests/support/replays.ts';
import { type ExperimentCommand, runExperimentCommand } from '../experiments/run-command.ts';
import { bootstrapPolicy } from '../policies/commands.ts';
import { type ApplyOutcome, applyDefinitions } from './apply-definitions.ts';
import { exportDefinitions } from './export-definitions.ts';
import { formatPlan } from './plan-items.ts';
import { parseDefinitionFiles } from './read-files.ts';

let mlflow: TestMlflow;
let client: MlflowClient;
let models: ModelRegistry;
let stages: ModelStages;
let modelName: string;
let database: TestDatabase;
const author = { actor: 'test', reason: 'a test' };

beforeAll(async () => {
  mlflow = await startTestMlflow();
  client = createMlflowClient({ url: mlflow.url });
  models = createModelRegistry(client);
  stages = createModelStages(client);
  modelName = `planner-${randomBytes(4).toString('hex')}`;
  await client.request({ method: 'POST', path: 'registered-models/create', body: { name: modelName } });
  for (const version of ['1', '2']) {
    const body = { name: modelName, source: `s3://test-models/${version}` };
    expect(await client.request({ method: 'POST', path: 'model-versions/create', body })).toMatchObject({ ok: true });
  }
}, 600_000);
afterAll(() => mlflow?.stop());
beforeEach(async () => {
  database = await createTestDatabase();
  await storeVerdict(database.pool, { model: { name: modelName, version: 2 }, verdict: 'pass' });
  return () => database.drop();
});

type ApplyOptions = { dryRun?: boolean; models?: ModelRegistry | null; on?: TestDatabase };

async function apply(files: Readonly<Record<string, string>>, options: ApplyOptions = {}): Promise<ApplyOutcome> {
  const read = parseDefinitionFiles(Object.entries(files).map(([path, text]) => ({ path, text })));
  if (!read.ok) return { status: 'invalid', problems: read.problems };
  return applyDefinitions({
    // With the rights of the operator, as the command has them.
    pool: (options.on ?? database).poolAs('operator'),
    models: options.models === undefined ? models : options.models,
    files: read.files,
    author,
    dryRun: options.dryRun ?? false,
  });
}

const planOf = (outcome: ApplyOutcome): string =>
  outcome.status === 'invalid' ? JSON.stringify(outcome.problems) : formatPlan(outcome.items);

const policies = (lines = ''): string => `policies:
  - name: planner
    description: Which planner makes the plan
    versions:
      - { version: 1, mlflow_model_name: ${modelName}, mlflow_model_version: 1, config_defaults: { temperature: 0.2 } }
${lines}`;

const plain = `experiments:
  - key: checkout-button
    unit_type: user
    variants:
      - { name: control, allocation: 0.5, is_control: true }
      - { name: green, allocation: 0.5 }
`;

const planner = (lines = ''): string => `experiments:
  - key: planner-policy
    name: Planner policy
    unit_type: household
    status: running
    hypothesis: Households accept more plans
    owner: planning
    targeting: { country: { $in: [NO, SE] } }
    layer: { id: planning, start: 0.25, end: 0.75 }
    holdout: { id: all, share: 0.01 }
    starts_at: 2026-01-05T09:00:00+01:00
    ends_at: 2030-01-05T09:00:00Z
    forced_variants: { household-7: candidate }
    metrics: { primary: accepted, guardrails: [{ metric: rejected, direction: increase, bound: 0.02 }] }
    ramp: { steps: [0.5, 1] }
${lines}    variants:
      - { name: control, allocation: 0.5, is_control: true, config: { policy_version_id: planner@1 } }
      - { name: candidate, allocation: 0.5, config: { policy_version_id: planner@2, params: { depth: 3 } } }
`;

const secondVersion = (): string =>
  `      - { version: 2, mlflow_model_name: ${modelName}, mlflow_model_version: 2 }\n`;

test('a dry run prints the plan and writes nothing', async () => {
  const outcome = await apply({ 'a.yml': plain }, { dryRun: true, models: null });
  expect(planOf(outcome)).toBe(
    [
      'plan: 1 to create, 0 to change, 0 unchanged, 0 refused',
      '  + create experiment checkout-button iteration 1 (draft, unit user, coverage 1, control 0.5, green 0.5)',
    ].join('\n'),
  );
  expect(await listDefinitions(database.pool)).toEqual([]);
  const { rows } = await database.pool.query(
    'SELECT 1 FROM exp.audit_log UNION ALL SELECT 1 FROM exp.definition_outbox',
  );
  expect(rows).toEqual([]);
});

test('policies and the experiments that point at them are applied together; a new version starts at a tenth', async () => {
  const outcome = await apply({ 'policies.yml': policies(secondVersion()), 'experiments.yml': planner() });
  expect(outcome.status).toBe('applied');
  expect(planOf(outcome)).toContain('+ create policy planner');
  expect(planOf(outcome)).toContain(`+ create policy version planner@2 (MLflow model ${modelName} version 2)`);
  expect(planOf(outcome)).toContain('(running, unit household, coverage 0.2, control 0.5, candidate 0.5)');
  expect(planOf(outcome)).toContain(
    'note: coverage starts at 0.2 instead of 1: planner@1 (control) would get 0.5 of traffic',
  );
  const [stored] = await listDefinitions(database.pool);
  expect(stored?.experiment).toMatchObject({ status: 'running', coverage: 2_000, version: 1 });
  const { rows } = await database.pool.query('SELECT actor, action, subject FROM exp.audit_log ORDER BY id');
  expect(rows).toEqual([
    { actor: 'test', action: 'policy.create', subject: 'policy/planner' },
    { actor: 'test', action: 'policy-version.create', subject: 'policy-version/planner@1' },
    { actor: 'test', action: 'policy-version.create', subject: 'policy-version/planner@2' },
    { actor: 'test', action: 'experiment.create', subject: 'experiment/planner-policy/1' },
  ]);

  const again = await apply(
    { 'policies.yml': policies(secondVersion()), 'experiments.yml': planner() },
    { models: null },
  );
  expect(planOf(again)).toContain('plan: 0 to create, 0 to change, 4 unchanged, 0 refused');
  expect((await listDefinitions(database.pool))[0]?.experiment.version).toBe(1);
});

test('a bootstrapped baseline is not capped, and only the first version of a policy is bootstrapped', async () => {
  await apply({ 'policies.yml': policies(secondVersion()) });
  const definitions = { pool: database.poolAs('operator'), models, stages };
  expect((await bootstrapPolicy(definitions, 'planner@1', author)).text).toContain('planner@1 is in production');
  expect((await bootstrapPolicy(definitions, 'planner@1', author)).text).toContain('nothing to do');
  await expect(bootstrapPolicy(definitions, 'planner@2', author)).rejects.toThrow('only the first version of a policy');
  const [policy] = await listPolicies(database.pool);
  expect(policy?.versions.map(({ status }) => status)).toEqual(['production', 'candidate']);
  await expect(bootstrapPolicy(definitions, 'planner@3', author)).rejects.toThrow('has no version 3');
  await expect(bootstrapPolicy(definitions, 'other@1', author)).rejects.toThrow('there is no policy other');

  const outcome = await apply({ 'experiments.yml': planner().replaceAll('planner@2', 'planner@1') });
  expect(planOf(outcome)).toContain('coverage 1, control 0.5');
});

test('a later version is not bootstrapped either while no version of the policy was in production', async () => {
  await apply({ 'policies.yml': policies(secondVersion()) });
  const definitions = { pool: database.poolAs('operator'), models, stages };
  await expect(bootstrapPolicy(definitions, 'planner@2', author)).rejects.toThrow(
    'only the first version of a policy is bootstrapped: that is planner@1',
  );
});

test('a draft that points at a policy version without a past starts at a tenth of traffic, whatever its coverage', async () => {
  const draft = planner().replace('status: running', 'status: draft');
  await apply({ 'policies.yml': policies(secondVersion()), 'experiments.yml': draft });
  const run = (command: ExperimentCommand) =>
    runExperimentCommand(
      { pool: database.poolAs('operator'), models, stages: null },
      { keyOrId: 'planner-policy', author },
      command,
    );
  // The way around: raise the draft, then start it.
  await run({ kind: 'coverage', share: 1 });
  const { after, notes } = await run({ kind: 'start' });
  expect(after).toMatchObject({ status: 'running', coverage: 2_000 });
  expect(notes).toEqual([expect.stringContaining('planner@2 (candidate) would get 0.5 of traffic')]);
  // A ramp is a decision of its own, on record.
  expect((await run({ kind: 'coverage', share: 0.4 })).after.coverage).toBe(4_000);
  // From the moment at which it is delivered to all, the version was in production.
  await run({ kind: 'promote', variant: 'candidate' });
  const [policy] = await listPolicies(database.pool);
  expect(policy?.versions.map(({ version, status }) => [version, status])).toEqual([
    [1, 'candidate'],
    [2, 'production'],
  ]);
  const { rows } = await database.pool.query(
    "SELECT subject, detail ->> 'experiment' AS experiment FROM exp.audit_log WHERE action = 'policy-version.production'",
  );
  expect(rows).toEqual([{ subject: 'policy-version/planner@2', experiment: 'planner-policy/1' }]);
});

test('one refused part refuses the whole plan, with its place and the reason', async () => {
  await apply({ 'a.yml': plain });
  await runExperimentCommand(
    { pool: database.poolAs('operator'), models, stages: null },
    { keyOrId: 'checkout-button', author },
    { kind: 'start' },
  );
  const changed = plain.replaceAll('0.5', '0.4');
  const outcome = await apply({ 'a.yml': changed, 'b.yml': plain.replace('checkout-button', 'other-button') });
  expect(outcome.status).toBe('refused');
  expect(planOf(outcome)).toContain('plan: 1 to create, 0 to change, 0 unchanged, 1 refused');
  expect(planOf(outcome)).toContain(
    'a.yml:5:38: experiments[0].variants[0].allocation: variants are frozen while the experiment is running',
  );
  expect(planOf(outcome)).toContain('`iteration: 2`');
  expect((await listDefinitions(database.pool)).map(({ experiment }) => experiment.experimentKey)).toEqual([
    'checkout-button',
  ]);
});

test('a change is shown field by field, in shares as people write them', async () => {
  await apply({ 'a.yml': plain });
  const outcome = await apply({
    'a.yml': plain.replace('unit_type: user', 'unit_type: user\n    coverage: 0.25\n    owner: web'),
  });
  expect(planOf(outcome).split('\n')).toEqual(
    [
      'plan: 0 to create, 1 to change, 0 unchanged, 0 refused',
      '  ~ change experiment checkout-button iteration 1 (version 2)',
      expect.stringMatching(/^ {6}version: 1 -> 2$/),
      '      coverage: 1 -> 0.25',
      '      owner: null -> "web"',
    ].filter((line) => typeof line === 'string' && !line.startsWith('x')),
  );
});

test.each([
  ['a version that was never registered', '7', 'it does not exist (or was deleted): model'],
  ['a model that does not exist', 'no-such-model', 'there is no registered model no-such-model'],
])('refuses %s', async (_, wrong, reason) => {
  const line = /^\d+$/.test(wrong)
    ? `      - { version: 2, mlflow_model_name: ${modelName}, mlflow_model_version: ${wrong} }\n`
    : `      - { version: 2, mlflow_model_name: ${wrong}, mlflow_model_version: 1 }\n`;
  const outcome = await apply({ 'policies.yml': policies(line), 'experiments.yml': planner() });
  expect(outcome.status).toBe('refused');
  expect(planOf(outcome)).toContain('policies.yml:6:');
  expect(planOf(outcome)).toContain(reason);
  expect(await listPolicies(database.pool)).toEqual([]);
});

test('refuses a model version that was deleted, also when only an experiment names it', async () => {
  const name = `${modelName}-deleted`;
  await client.request({ method: 'POST', path: 'registered-models/create', body: { name } });
  for (let count = 0; count < 2; count += 1) {
    await client.request({
      method: 'POST',
      path: 'model-versions/create',
      body: { name, source: 's3://test-models/x' },
    });
  }
  await storeVerdict(database.pool, { model: { name, version: 1 }, verdict: 'pass' });
  const yaml = policies(`      - { version: 2, mlflow_model_name: ${name}, mlflow_model_version: 1 }\n`);
  expect((await apply({ 'policies.yml': yaml })).status).toBe('applied');
  await fetch(`${mlflow.url}/api/2.0/mlflow/model-versions/delete`, {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, version: '1' }),
  });
  const outcome = await apply({ 'experiments.yml': planner() });
  expect(planOf(outcome)).toContain('experiments.yml:18:');
  expect(planOf(outcome)).toContain('which MLflow cannot give: it was deleted from the registry');
  expect(await listDefinitions(database.pool)).toEqual([]);
});

test('without MLflow policies are refused with what to do, and experiments without policies are applied', async () => {
  const without = await apply({ 'policies.yml': policies() }, { models: null });
  expect(without.status).toBe('refused');
  expect(planOf(without)).toContain('set MLFLOW_URL to the address of the MLflow server');
  const away = createModelRegistry(createMlflowClient({ url: 'http://127.0.0.1:9' }));
  const unreachable = await apply({ 'policies.yml': policies() }, { models: away });
  expect(unreachable.status).toBe('refused');
  expect(planOf(unreachable)).toContain('could not be checked: MLflow at http://127.0.0.1:9 cannot be reached');
  expect((await apply({ 'a.yml': plain }, { models: null })).status).toBe('applied');
});

test('an export gives the definitions again: unchanged here, the same ids and text in an empty environment', async () => {
  await apply({
    'policies.yml': policies(secondVersion()),
    'experiments.yml': planner('    coverage: 0.2\n'),
    'plain.yml': plain,
  });
  const exported = await exportDefinitions(database.pool);
  expect(exported).toContain('policy_version_id: planner@2');
  const again = await apply({ 'export.yml': exported });
  expect(planOf(again)).toContain('plan: 0 to create, 0 to change, 19 unchanged, 0 refused');

  const empty = await createTestDatabase();
  try {
    await storeVerdict(empty.pool, { model: { name: modelName, version: 2 }, verdict: 'pass' });
    expect((await apply({ 'export.yml': exported }, { on: empty })).status).toBe('applied');
    expect(await exportDefinitions(empty.pool)).toBe(exported);
    const experimentsOf = async ({ pool }: TestDatabase) =>
      (await listDefinitions(pool)).map(({ experiment }) => experiment);
    expect(await experimentsOf(empty)).toEqual(await experimentsOf(database));
  } finally {
    await empty.drop();
  }
});

test('a database has the metrics of config/metrics.yml from the start', async () => {
  const text = await readFile(new URL('../../config/metrics.yml', import.meta.url), 'utf8');
  expect(planOf(await apply({ 'metrics.yml': text }))).toContain(
    'plan: 0 to create, 0 to change, 14 unchanged, 0 refused',
  );
});

test('metrics are created and changed with a note on what runs already; a name nobody defined is said, a quantile is no guardrail', async () => {
  const metric = (level: number): string =>
    `metrics:\n  - { name: slow, kind: quantile, of: latency_ms, level: ${level} }\n`;
  const experiment = plain.replace(
    'unit_type: user',
    'unit_type: user\n    status: running\n    metrics: { primary: slow, secondary: [sales] }',
  );
  const created = await apply({ 'm.yml': metric(0.5), 'a.yml': experiment });
  expect(planOf(created)).toContain('+ create metric slow (quantile)');
  expect(planOf(created)).toContain('note: nobody has defined the metric sales');
  const changed = await apply({ 'm.yml': metric(0.9) });
  expect(planOf(changed).split('\n').slice(1)).toEqual([
    '  ~ change metric slow (quantile)',
    '      level: 0.5 -> 0.9',
    '      note: changes the results of what runs already: checkout-button',
  ]);
  const guarded = plain
    .replace('key: checkout-button', 'key: b')
    .replace('unit_type: user', 'unit_type: user\n    metrics: { guardrails: [{ metric: slow }] }');
  const refused = await apply({ 'b.yml': guarded });
  expect(refused.status).toBe('refused');
  expect(planOf(refused)).toContain('b.yml:4:39: experiments[0].metrics.guardrails[0].metric: slow is a quantile');
});

test('an archived experiment is not exported, and a paused one says that a file does not pause', async () => {
  await apply({ 'a.yml': plain, 'b.yml': plain.replace('checkout-button', 'old-button') });
  const run = (keyOrId: string, kind: 'start' | 'pause' | 'archive') =>
    runExperimentCommand({ pool: database.poolAs('operator'), models, stages: null }, { keyOrId, author }, { kind });
  await run('old-button', 'archive');
  await run('checkout-button', 'start');
  await run('checkout-button', 'pause');
  const exported = await exportDefinitions(database.pool, 'experiments');
  expect(exported).not.toContain('old-button');
  expect(exported).not.toContain('policies');
  expect(exported).toContain('# paused: changed by commands, which a file does not repeat');
  expect(planOf(await apply({ 'export.yml': exported }))).toContain('1 unchanged, 0 refused');
});

test('two applications at the same moment leave one consistent result', async () => {
  const outcomes = await Promise.allSettled(
    Array.from({ length: 4 }, () => apply({ 'p.yml': policies(secondVersion()), 'a.yml': plain })),
  );
  expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected')
      expect(String(outcome.reason)).toContain('definitions changed while the plan was made');
  }
  const { rows } = await database.pool.query('SELECT version FROM exp.experiment_versions');
  expect(rows).toEqual([{ version: 1 }]);
});

test('the rule-based planner is registered once, with its files, and serves as the first policy version', async () => {
  const name = `baseline-${randomBytes(4).toString('hex')}`;
  const first = await registerBaseline(client, name);
  expect(first).toEqual({ version: 1, isNew: true });
  expect(await registerBaseline(client, name)).toEqual({ version: 1, isNew: false });
  const found = await models.lookUp(name, '1');
  const source = found.state === 'ready' ? found.modelVersion.source : '';
  const path = source.replace(/^mlflow-artifacts:\/+/, '');
  const card = await fetch(`${mlflow.url}/api/2.0/mlflow-artifacts/artifacts/${path}/planner.json`);
  expect(await card.json()).toMatchObject({
    planner: 'rule-based',
    source_digest: expect.stringMatching(/^[0-9a-f]{64}$/),
  });

  const yaml = `policies: [{ name: baseline, versions: [{ version: 1, mlflow_model_name: ${name}, mlflow_model_version: 1 }] }]`;
  expect((await apply({ 'policies.yml': yaml })).status).toBe('applied');
  expect(await bootstrapPolicy({ pool: database.pool, models, stages }, 'baseline@1', author)).toMatchObject({
    text: expect.stringContaining('is in production'),
    mlflow: { status: 'in line', changed: [`${name}/1 is production`] },
  });
});
