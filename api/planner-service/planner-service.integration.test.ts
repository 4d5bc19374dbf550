// The planner service with its real neighbors: households are served by the rules, their answers become a dataset, a model is trained on it
// and serves a variant; what is served, logged, trained on and replayed are the same bytes and the same plans.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { policyIdOf, policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import { serializePlanRequest } from '#domain/planning/canonical-json.ts';
import { serializeModelInput, toModelInput } from '#domain/planning/model-input.ts';
import { planOfModel } from '#domain/planning/plan-of-model.ts';
import type { PlanGeneratedPayload } from '#domain/planning/plan-shape.ts';
import { listMetrics } from '#infra/generate/metric-catalogue.ts';
import { repositoryRoot } from '#infra/local/local-dir.ts';
import { ensurePythonEnvironment } from '#infra/local/python-environment.ts';
import { trainingPackages } from '#infra/local/python-packages.ts';
import { objectStoreEnvironment } from '#infra/system/environment.ts';
import { type Planner, startPlanner } from '#infra/system/planner.ts';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { openScratchDatabase, quoteText } from '#platform/parquet/scratch-database.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import { applyPolicies, bootstrapPolicyVersion } from '#producers/definition-store/policy-rows.ts';
import { registerBaseline } from '#producers/definition-store/register-baseline.ts';
import type { PlanReply } from '#producers/planner-traffic/planner-port.ts';
import type { ServedTrafficResult } from '#producers/planner-traffic/served-traffic.ts';
import { committedCatalogue, sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';
import { fuzzService } from '#tests/fuzz/fuzzer.ts';
import { startTestMlflow, type TestMlflow } from '#tests/support/mlflow.ts';
import { createOwnBucket, type OwnBucket } from '#tests/support/own-bucket.ts';
import { until } from '#tests/support/poll.ts';
import { readEvents } from '#tests/support/read-events.ts';
import { storeVerdict } from '#tests/support/replays.ts';
import { post } from '#tests/support/service-client.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';
import { buildDataset } from '#workers/dataset-build/build-dataset.ts';
import { scoreCandidates } from '#workers/offline-replay/score-candidates.ts';

const modelName = `planner-served-${randomBytes(4).toString('hex')}`;
const model = `${modelName}/1`;
const timeoutMs = 600_000;
const author = { actor: 'test', reason: 'a test of serving' };
const world = sampleWorld({ households: 40, days: 10 });
/** Households by what they get: the first is outside every experiment at first, the others are forced. */
const [byRules, byModel, bySlowModel] = world.members.slice(0, 3).map(({ householdId }) => householdId);

let run: TestSystem;
let mlflow: TestMlflow;
let bucket: OwnBucket;
let planner: Planner;
let folder: string;
let python: string;

async function runProgram(program: string, args: readonly string[], settings: Readonly<Record<string, string>>) {
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '/', ...settings },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  const exitCode = await new Promise((resolve) => child.on('close', resolve));
  return { exitCode, stdout, stderr };
}
const urlOf = (name: 'assignment-service' | 'ingestion-service') => run.system.process(name).url;

beforeAll(async () => {
  [mlflow, bucket, python] = await Promise.all([
    startTestMlflow(),
    createOwnBucket(),
    ensurePythonEnvironment(trainingPackages).then((environment) => join(environment, 'bin', 'python')),
  ]);
  run = await startTestSystem(
    { 'assignment-service': 1, 'ingestion-service': 1, 'dataset-builder': 1 },
    { overrides: ({ name }) => (name === 'assignment-service' ? { MLFLOW_URL: mlflow.url } : {}) },
  );
  folder = await mkdtemp(join(tmpdir(), 'planner-service-test-'));
  await mkdir(join(folder, 'logs'));
  const { version } = await registerBaseline(createMlflowClient({ url: mlflow.url }));
  await addVersion(1, 'planner-rule-based', version, {});
  await inTransaction(run.database.pool, (tx) => bootstrapPolicyVersion(tx, { name: 'planner', version: 1 }, author));
  planner = await startPlanner({
    endpoints: { ...stackEndpoints(), mlflow: { url: mlflow.url } },
    localDir: folder,
    assignmentUrl: urlOf('assignment-service'),
    ingestionUrl: urlOf('ingestion-service'),
    overrides: { POSTGRES_URL: run.database.urlAs('planner_service'), SHADOW_MODEL: model, POLICY_REFRESH_MS: '200' },
    ports: 'free',
  });
}, 1_200_000);

afterAll(async () => {
  await planner?.stop();
  await run?.stop();
  await bucket?.remove();
  await mlflow?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function addVersion(version: number, name: string, modelVersion: number, configDefaults: object): Promise<void> {
  const added = {
    policyVersionId: policyVersionIdOf('planner', version),
    policyName: 'planner',
    version,
    modelName: name,
    modelVersion: String(modelVersion),
    configDefaults: configDefaults as Record<string, never>,
  };
  const policy = { policyId: policyIdOf('planner'), name: 'planner', description: null, versions: [added] };
  await inTransaction(run.database.pool, (tx) => applyPolicies(tx, [policy], author));
  // What the gate decides is the matter of other tests.
  await storeVerdict(run.database.pool, { model: { name, version: modelVersion }, verdict: 'pass' });
}

/** What the household asks for: two dinners, of a day on which all of its rows hold. */
const question = (householdId: string, plan_id: string) => ({
  household_id: householdId,
  plan_id,
  request: {
    workflow_type: 'weekly_plan' as const,
    mode: 'standard' as const,
    requested_at: '2026-01-08T10:00:00.000Z',
    slots: [
      { date: '2026-01-10', meal: 'dinner' as const, servings: 3 },
      { date: '2026-01-09', meal: 'dinner' as const, servings: 3 },
    ],
    previous_plan: null,
  },
});

const planIdOf = (number: number) => `00000000-0000-4000-8000-00000000000${number}`;

type Answer = PlanReply & Record<string, unknown>;
const ask = (householdId: string, number: number): Promise<Answer> =>
  post<Answer>(`${planner.service.url}/v1/plans`, run.access.ingestKey, question(householdId, planIdOf(number)), [200]);

const eventsOf = async (planId: string) =>
  (await readEvents(run.topics))
    .map(({ event }) => event)
    .filter(({ payload }) => payload !== null && JSON.parse(payload).plan_id === planId);

const isAllowed = ({ plan, request }: PlanReply): boolean =>
  toModelInput(request, committedCatalogue).slots.every(({ slot_id, candidates }) =>
    candidates.some(({ recipe_id, allowed }) => {
      const planned = plan.slots.find((slot) => slot.slot_id === slot_id);
      return allowed && planned?.recipe_id === recipe_id;
    }),
  );

test('households ask, the rules of the production version plan, and they answer what they got', {
  timeout: timeoutMs,
}, async () => {
  const traffic = async (): Promise<ServedTrafficResult> => {
    const options = ['--seed', '1', '--households', '40', '--days', '10', '--run', 'first', '--concurrency', '4'];
    const { exitCode, stdout, stderr } = await runProgram(
      process.execPath,
      [join(repositoryRoot, 'producers', 'planner-traffic', 'main.ts'), '--planner', planner.service.url, ...options],
      {
        POSTGRES_URL: run.database.url,
        ASSIGNMENT_URL: urlOf('assignment-service'),
        INGESTION_URL: urlOf('ingestion-service'),
        API_KEY: run.access.ingestKey,
      },
    );
    expect(exitCode, stderr).toBe(0);
    const { rows, ...result } = JSON.parse(stdout);
    return result;
  };
  const result = await traffic();
  const { total } = result.plans;
  expect(total).toBeGreaterThanOrEqual(40);
  expect(result).toMatchObject({
    householdsByVariant: { none: 40 },
    plans: { byPlanner: { 'rule-based': total }, byFallbackReason: {} },
    events: { rejected: 0 },
  });
  expect(result.events.accepted).toBeGreaterThan(total / 2);
  const rows = () =>
    run.database.pool.query<{ plan_id: string; latency: string; policy: PlanGeneratedPayload['policy'] }>(
      'SELECT plan_id, policy FROM exp.training_rows WHERE request IS NOT NULL',
    );
  await until('every plan is a training row', async () => (await rows()).rowCount === total, { deadlineMs: 120_000 });
  expect((await rows()).rows[0]?.policy).toEqual({
    name: 'rule-based',
    temperature: 0.25,
    policy_version: 'planner@1',
    policy_version_id: policyVersionIdOf('planner', 1),
  });
  // The same run again: the same plans, and nothing counts twice.
  expect(await traffic()).toEqual(result);
  expect((await rows()).rowCount).toBe(total);
});

test('the dataset holds the request and the model input of serving byte by byte', { timeout: timeoutMs }, async () => {
  const served = await ask(byRules!, 1);
  expect(served).toMatchObject({
    planner: 'rule-based',
    model: null,
    policy_version: 'planner@1',
    fallback_reason: null,
    experiments: [],
    cost_usd: 0,
  });
  expect(isAllowed(served)).toBe(true);
  const rowOf = `SELECT 1 FROM exp.training_rows WHERE plan_id = '${planIdOf(1)}' AND request IS NOT NULL`;
  await until('the plan is a training row', async () => (await run.database.pool.query(rowOf)).rowCount === 1);
  const built = await buildDataset({
    pool: run.database.poolAs('dataset_builder'),
    objectStore: bucket.objectStore,
    modelName: 'planner',
    buildDate: '2026-03-01',
    labelCutoff: new Date('2026-03-01T00:00:00Z'),
    codeCommit: 'test',
  });
  await using scratch = await openScratchDatabase();
  const files = ['training', 'validation', 'test'].map((split) => join(scratch.folder, `${split}.parquet`));
  for (const file of files) {
    const objectKey = built.objectKey.replace(/training\.parquet$/, file.replace(/^.*\//, ''));
    await writeFile(file, await bucket.objectStore.get(objectKey));
  }
  const stored = await scratch.connection.runAndReadAll(
    `SELECT request, model_input, enrichment_differences FROM read_parquet([${files.map(quoteText).join()}])
     WHERE plan_id = '${planIdOf(1)}'`,
  );
  expect(stored.getRowObjects()).toEqual([
    {
      request: serializePlanRequest(served.request),
      model_input: serializeModelInput(toModelInput(served.request, committedCatalogue)),
      enrichment_differences: '[]',
    },
  ]);
  await train(`s3://${bucket.endpoints.objectStoreBucket}/${built.objectKey}`);
});

/** Registers version 1 of the model. */
async function train(dataset: string): Promise<void> {
  const program = join(repositoryRoot, 'training', 'train_planner.py');
  const options = ['--dataset', dataset, '--model', 'tiny', '--epochs', '1', '--model-name', modelName];
  const { exitCode, stderr } = await runProgram(python, [program, ...options, '--output', join(folder, 'training')], {
    OMP_NUM_THREADS: '1',
    MLFLOW_URL: mlflow.url,
    ...objectStoreEnvironment({ objectStore: bucket.endpoints }),
  });
  expect(exitCode, stderr).toBe(0);
}

test('a variant is served by its model, with the plans of the offline replay; a slow version is slow', {
  timeout: timeoutMs,
}, async () => {
  await addVersion(2, modelName, 1, { batch_wait_ms: 0, deadline_ms: 60_000 });
  await addVersion(3, modelName, 1, { batch_wait_ms: 1_500, deadline_ms: 60_000 });
  const policy_version_id = (version: number) => ({ policy_version_id: `planner@${version}`, params: {} });
  await post(
    `${urlOf('assignment-service')}/v1/experiments`,
    run.access.adminKey,
    {
      key: 'planner-promotion',
      unit_type: 'household',
      status: 'running',
      coverage: 0.1,
      forced_variants: { [byModel!]: 'candidate', [bySlowModel!]: 'slow' },
      variants: [
        { name: 'control', allocation: 0.4, is_control: true, config: policy_version_id(1) },
        { name: 'candidate', allocation: 0.3, config: policy_version_id(2) },
        { name: 'slow', allocation: 0.3, config: policy_version_id(3) },
      ],
    },
    [200, 201],
  );
  // Asked for before it was trained, as a shadow, it counts as absent for a moment.
  await until('the inference process has loaded the model', async () => {
    const answer = await fetch(`${planner.inference.url}/v1/models`);
    return ((await answer.json()) as { loaded: string[] }).loaded.includes(model);
  });
  const served = await until('the assignment service delivers the candidate', async () => {
    const answer = await ask(byModel!, 2);
    return answer.experiments.length > 0 && answer;
  });
  expect(served).toMatchObject({
    planner: model,
    model,
    policy_version: 'planner@2',
    fallback_reason: null,
    assignment: { experiment_key: 'planner-promotion', variant_name: 'candidate' },
  });
  expect(served.cost_usd).toBeGreaterThan(0);
  expect(isAllowed(served)).toBe(true);

  const inputText = serializeModelInput(toModelInput(served.request, committedCatalogue));
  const [replayed] = await scoreCandidates(model, [{ id: 'a', inputText }], {
    python,
    mlflowUrl: mlflow.url,
    environment: { PATH: process.env.PATH, HOME: process.env.HOME },
  });
  const made = planOfModel(replayed!, served.request, committedCatalogue);
  if (!made.ok) throw new Error(made.problem);
  expect(served.plan).toEqual(made.planned.plan);

  const event = await until('the plan is on the topic', async () =>
    (await eventsOf(planIdOf(2))).find(
      ({ event_type, experiments }) => event_type === 'plan_generated' && experiments.length > 0,
    ),
  );
  const payload: PlanGeneratedPayload = JSON.parse(event.payload!);
  expect(payload.policy).toEqual({
    name: model,
    model,
    policy_version: 'planner@2',
    policy_version_id: policyVersionIdOf('planner', 2),
  });
  for (const [index, { propensities }] of payload.choices.entries()) {
    for (const [at, share] of propensities.entries()) expect(share).toBeCloseTo(made.probabilities[index]![at]!, 4);
  }
  expect(event.metrics.latency_ms).toBe(served.latency_ms);

  const slow = await ask(bySlowModel!, 3);
  expect(slow).toMatchObject({ planner: model, policy_version: 'planner@3', fallback_reason: null });
  expect(slow.latency_ms).toBeGreaterThanOrEqual(1_500);
});

test('the inference process answers as its document says, whatever it is asked', { timeout: timeoutMs }, async () => {
  const { request } = await ask(byRules!, 8);
  const known = { model, input: toModelInput(request, committedCatalogue), batch_wait_ms: 1 };
  const { passed, caseCount, output } = await fuzzService({
    url: planner.inference.url,
    apiKey: '',
    examples: 5,
    mayBeBusy: true,
    seed: 4,
    known,
  });
  expect(passed, output).toBe(true);
  expect(caseCount).toBeGreaterThan(50);
  const text = await (await fetch(`${planner.inference.url}/metrics`)).text();
  expect(text).toMatch(/inference_plans_total\{[^}]*outcome="answered"[^}]*\} [1-9]/);
  expect(text).not.toMatch(/inference_plans_total\{[^}]*outcome="failed"/);
});

test('a shadow plans what the rules served, and nothing of it counts', { timeout: timeoutMs }, async () => {
  const outside = world.members.slice(3).map(({ householdId }) => householdId);
  const served = await until('a household in no experiment', async () => {
    const answer = await ask(outside.pop()!, 4);
    return answer.planner === 'rule-based' && answer;
  });
  const shadowed = await until('the shadow is on the topic', async () =>
    (await eventsOf(planIdOf(4))).find(
      ({ event_type, unit_id }) => event_type === 'plan_shadowed' && unit_id === served.request.household.household_id,
    ),
  );
  expect(shadowed).toMatchObject({ experiments: [] });
  expect(JSON.parse(shadowed.payload!)).toMatchObject({ model });
  expect(Object.keys(shadowed.metrics).sort()).toEqual([
    'served_alignment_score',
    'shadow_agreement_ratio',
    'shadow_alignment_score',
    'shadow_intervention',
    'shadow_latency_ms',
  ]);
});

test('an unknown model is refused by name; a dead inference process leaves the rules, and comes back', {
  timeout: timeoutMs,
}, async () => {
  const refused = await fetch(`${planner.inference.url}/v1/plans`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: `${modelName}/99`, input: {} }),
  });
  expect(refused.status).toBe(404);
  expect(await refused.json()).toEqual({
    code: 'unknown-model',
    message: `there is no model version ${modelName}/99; loaded are: ${model}`,
  });

  await planner.inference.kill();
  const alone = await ask(byModel!, 5);
  expect(alone).toMatchObject({
    planner: 'rule-based',
    model,
    policy_version: 'planner@2',
    fallback_reason: 'unavailable',
    assignment: { variant_name: 'candidate' },
  });
  expect(isAllowed(alone)).toBe(true);
  await planner.inference.start();
  await until('the model serves again', async () => (await ask(byModel!, 6)).planner === model, { deadlineMs: 60_000 });
});

test('refuses in words that help, and exposes every metric of the catalogue', { timeout: timeoutMs }, async () => {
  const refusalOf = async (body: unknown, key = run.access.ingestKey) => {
    const answer = await fetch(`${planner.service.url}/v1/plans`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      body: JSON.stringify(body),
    });
    const { code, field } = (await answer.json()) as { code: string; field?: string };
    return [answer.status, code, field];
  };
  const asked = question(byRules!, planIdOf(7));
  const withRequest = (change: object) => ({ ...asked, request: { ...asked.request, ...change } });
  const stranger = '00000000-0000-4000-8000-000000000099';
  const [slot] = asked.request.slots;
  expect([
    await refusalOf(asked, 'wrong'),
    await refusalOf({ ...asked, household_id: stranger }),
    await refusalOf({ ...asked, more: 1 }),
    await refusalOf(withRequest({ mode: 'fast' })),
    await refusalOf(withRequest({ slots: [slot, slot] })),
    await refusalOf(withRequest({ slots: [{ ...slot, date: '2026-02-30' }] })),
    await refusalOf(withRequest({ requested_at: '2026-13-01T00:00:00Z' })),
  ]).toEqual([
    [401, 'unauthenticated', undefined],
    [404, 'unknown-household', 'household_id'],
    [400, 'invalid-request', 'more'],
    [400, 'invalid-request', 'request.mode'],
    [400, 'invalid-request', 'request.slots'],
    [400, 'invalid-request', 'request.slots[0].date'],
    [400, 'invalid-request', 'request.requested_at'],
  ]);
  const text = await (await fetch(`${planner.service.url}/metrics`)).text();
  const exposed = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => `${name} ${type}`);
  const own = listMetrics(repositoryRoot).filter(({ processes }) => processes.includes('planner-service'));
  expect(own.length).toBeGreaterThan(10);
  expect(exposed).toEqual(expect.arrayContaining(own.map(({ name, type }) => `${name} ${type}`)));
  expect(text).toMatch(/planner_events_total\{outcome="accepted".*\} [1-9]/);
  expect(text).toMatch(/planner_events_total\{outcome="(lost|rejected)".*\} 0/);
});

test('npm run planner says in one sentence that nothing runs', { timeout: timeoutMs }, async () => {
  const program = join(repositoryRoot, 'infra', 'system', 'run-planner.ts');
  expect(await runProgram(process.execPath, [program], { TRIALSTREAM_LOCAL_DIR: join(folder, 'nothing') })).toEqual({
    exitCode: 1,
    stdout: '',
    stderr: 'No local system runs: start one with "npm run up -- --profile ml" and "npm start -- --keep".\n',
  });
});
