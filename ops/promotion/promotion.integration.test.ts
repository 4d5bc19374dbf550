// Promotions on real Postgres and MLflow: what starts one, how its ramp goes, how it ends, and what the ledger and the registry say then.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readLookEvidence } from '#analytics/promotion/look-evidence.ts';
import { policyIdOf, policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import { parseRampPlan, type RampRequest } from '#domain/promotion/ramp-plan.ts';
import { runOwnProgram } from '#infra/system/bring-up.ts';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelRegistry } from '#platform/mlflow/model-registry.ts';
import { createModelStages, productionAlias, stageTag } from '#platform/mlflow/model-stages.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';
import { applyCoverage, applyLifecycleCommand } from '#producers/definition-store/change-definition.ts';
import { applyPolicies, listPolicies } from '#producers/definition-store/policy-rows.ts';
import { findModelDifferences } from '#producers/promotion-store/align-models.ts';
import { finishPromotion, rollBackPromotion } from '#producers/promotion-store/end-promotion.ts';
import { approvePromotion, type LookDeps, lookAtPromotion } from '#producers/promotion-store/look-at-promotion.ts';
import { listLedger, readReigns } from '#producers/promotion-store/promotion-ledger.ts';
import { getPromotion, type Promotion } from '#producers/promotion-store/promotion-state.ts';
import { type StartRequest, startPromotion } from '#producers/promotion-store/start-promotion.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { startTestMlflow, type TestMlflow } from '#tests/support/mlflow.ts';
import { opsEnvironment } from '#tests/support/ops-command.ts';
import { storeVerdict } from '#tests/support/replays.ts';
import { fillUnitTables, storeAssignments, storeEvents } from '#tests/support/results-data.ts';
import { stopExperiment } from '#workers/guardrail-monitor/act.ts';
import { findViolation } from '#workers/guardrail-monitor/find-violation.ts';
import { recordAll } from '#workers/guardrail-monitor/record-results.ts';
import type { DoctorCluster } from '../cluster/doctor.ts';
import { checkModels } from '../cluster/doctor-store-checks.ts';

const author = { actor: 'tester', reason: 'a test' };
const modelName = `promoted-${randomBytes(4).toString('hex')}`;
let database: TestDatabase;
let mlflow: TestMlflow;
let pool: Pool;
let deps: LookDeps;

const ops = (...args: string[]): Promise<string> =>
  runOwnProgram(
    'ops/main.ts',
    args,
    opsEnvironment({
      postgresUrl: database.urlAs('operator'),
      namespace: 'none',
      erasureKey: 'none',
      settings: { MLFLOW_URL: mlflow.url },
    }),
  );

beforeAll(async () => {
  [database, mlflow] = await Promise.all([createTestDatabase(), startTestMlflow()]);
  const client = createMlflowClient({ url: mlflow.url });
  pool = database.poolAs('operator');
  deps = {
    pool,
    models: createModelRegistry(client),
    stages: createModelStages(client),
    readEvidence: (id) => readLookEvidence(pool, id),
  };
  await client.request({ method: 'POST', path: 'registered-models/create', body: { name: modelName } });
  for (const version of [1, 2, 3, 4, 5, 6]) {
    const body = { name: modelName, source: `s3://test-models/${version}` };
    await client.request({ method: 'POST', path: 'model-versions/create', body, isRepeatable: true });
  }
}, 600_000);
afterAll(async () => {
  await database?.drop();
  await mlflow?.stop();
});

/** A policy of its own with the first model version in production. */
async function createPolicy(name: string): Promise<void> {
  const version = {
    policyVersionId: policyVersionIdOf(name, 1),
    policyName: name,
    version: 1,
    modelName,
    modelVersion: '1',
    configDefaults: { max_dinners: 7 },
  };
  await inTransaction(pool, (tx) =>
    applyPolicies(tx, [{ policyId: policyIdOf(name), name, description: null, versions: [version] }], author),
  );
  expect(await ops('policies', 'bootstrap', `${name}@1`, '--reason', 'the first one')).toContain('is in production');
}

const judge = (version: number, verdict: 'pass' | 'fail' | 'inconclusive') =>
  storeVerdict(database.pool, { model: { name: modelName, version }, verdict });

const planOf = (request: RampRequest) => {
  const parsed = parseRampPlan(request);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.plan;
};
const quick = { minUnits: 20, minSeconds: 0 };
const start = async (policyName: string, version: number, change: Partial<StartRequest> = {}): Promise<Promotion> => {
  const { promotion } = await startPromotion(
    deps,
    {
      model: { name: modelName, version },
      policyName,
      plan: planOf(quick),
      metrics: { primary: 'acceptance_rate', secondary: ['plan_alignment'], guardrails: [{ metric: 'latency' }] },
      analysis: { guardrail_units: 20 },
      ...change,
    },
    author,
  );
  return promotion;
};
const look = async (key: string) =>
  lookAtPromotion(deps, (await getPromotion(pool, key)).experiment.experimentId, 'tester');
const watch = (idleReason: string | null = null) =>
  database.pool.query('UPDATE exp.guardrail_lease SET looked_at = clock_timestamp(), idle_reason = $1', [idleReason]);
const tagsOf = async (version: number) =>
  (await deps.models!.listVersions(modelName))!.find((known) => known.version === version)!.tags[stageTag];
const actionsOf = async (key: string) => (await listLedger(pool, { keyOrId: key })).map(({ action }) => action);

let batch = 0;
/** New units that meet both variants now, each with one plan; the candidate takes `factor` times as long. */
async function addUnits({ experiment, control, candidate }: Promotion, factor = 1, count = 60): Promise<void> {
  batch += 1;
  const units = Array.from({ length: count }, (_, index) => ({
    unitId: `unit-${batch}-${index}`,
    variantId: (index % 2 === 0 ? control : candidate).variantId as string,
    atMs: Date.now(),
  }));
  await storeAssignments(database.pool, experiment.experimentId, units, 'household');
  await storeEvents(
    database.pool,
    experiment.experimentId,
    units.map(({ unitId, variantId, atMs }, index) => ({
      unitId,
      variantId,
      type: 'plan_generated',
      atMs: atMs + 1,
      metrics: {
        latency_ms: (900 + (index % 7)) * (index % 2 === 1 ? factor : 1),
        accepted: index % 3 === 0 ? 0 : 1,
        plan_alignment_score: index % 2 === 1 ? 0.8 : 0.7,
      },
    })),
    'household',
  );
  await fillUnitTables(database.pool);
}

test('no model version starts without a passed gate of exactly that version, and a failed one not even by force', async () => {
  await createPolicy('gated');
  await expect(start('gated', 2)).rejects.toThrow(
    `${modelName}/2 has not passed the gate: no replay has judged it. Run one with \`ops offline-replay run --model ${modelName}/2`,
  );
  await judge(2, 'pass');
  await judge(2, 'fail');
  for (const force of [undefined, 'we want it']) {
    await expect(start('gated', 2, { force })).rejects.toThrow(
      /failed the gate and gets no traffic, forced or not.*fail on dataset d/,
    );
  }
  await judge(3, 'inconclusive');
  await expect(start('gated', 3)).rejects.toThrow('inconclusive on dataset d');
  await expect(start('gated', 99, { force: 'x' })).rejects.toThrow('it does not exist');
  await expect(start('gated', 1, { force: 'x' })).rejects.toThrow('in production already, as gated@1');
  await expect(start('nowhere', 3)).rejects.toThrow('there is no policy nowhere (known: gated)');
  // Nothing was written on the way.
  expect((await listPolicies(pool))[0]?.versions).toHaveLength(1);
  expect((await listLedger(pool)).map(({ action }) => action)).toEqual(['bootstrap']);

  const forced = JSON.parse(
    await ops(
      ...['promote', 'start', `${modelName}/3`, '--policy', 'gated', '--reason', 'a try', '--steps', '0.02,0.1'],
      ...['--param', 'batch_wait_ms=20', '--force', 'few households', '--json'],
    ),
  );
  expect((await listPolicies(pool))[0]?.versions[1]?.configDefaults).toEqual({ max_dinners: 7, batch_wait_ms: 20 });
  expect(forced).toMatchObject({
    experiment_key: 'gated-promotion',
    iteration: 1,
    policy_version: 'gated@2',
    policy_version_id: policyVersionIdOf('gated', 2),
    candidate_share: 0.02,
    state: 'running',
  });
  const [, row] = await listLedger(pool);
  expect(row).toMatchObject({ action: 'start', actor: 'tester', reason: 'a try', model: `${modelName}/3` });
  expect(row?.evidence).toMatchObject({ forced: 'few households', replay: { verdict: 'inconclusive' } });
  expect(await tagsOf(3)).toBe('candidate');
  await judge(4, 'pass');
  await expect(start('gated', 4)).rejects.toThrow('policy gated has the promotion gated-promotion under way');
  await rollBackPromotion(deps, 'gated-promotion', author);
});

test('a ramp waits for units, time, guardrails and approval, and ends in production with ledger, alias, tags and history', async () => {
  await createPolicy('ramped');
  await judge(4, 'pass');
  const before = new Date();
  await start('ramped', 4);
  const key = 'ramped-promotion';
  const shares: number[] = [];
  const raised = await inTransaction(pool, (tx) =>
    applyCoverage(tx, { keyOrId: key, expectedVersion: 1, author, coverage: 1 }),
  );
  expect(raised).toMatchObject({ problems: [{ message: expect.stringContaining('its ramp raises the coverage') }] });
  const shareNow = async () => (await getPromotion(pool, key)).share;

  const first = (await look(key)).decision;
  expect(first).toMatchObject({ action: 'wait' });
  expect((first as { reasons: readonly string[] }).reasons.join('\n')).toMatch(
    /has not looked yet[\s\S]*guardrail latency cannot be judged[\s\S]*candidate has met 0 new units in this step, and 20 are wanted/,
  );
  await watch('metrics-aggregator is paused');
  await addUnits(await getPromotion(pool, key));
  expect((await look(key)).decision).toEqual({
    action: 'wait',
    reasons: ['guardrail-monitor rests: metrics-aggregator is paused'],
  });
  for (let step = 0; step < 2; step += 1) {
    await watch();
    // Many looks at once take one step.
    const looks = await Promise.all(Array.from({ length: 4 }, () => look(key)));
    expect(looks.filter(({ decision }) => decision.action === 'step')).toHaveLength(1);
    shares.push(await shareNow());
    await addUnits(await getPromotion(pool, key));
  }
  await watch();
  expect((await look(key)).decision).toMatchObject({ action: 'hold' });
  expect(await ops('promote', 'status', key)).toMatch(
    /state +holds at 0\.1 of traffic[\s\S]*ops promote approve ramped-promotion/,
  );
  await expect(finishPromotion(deps, key, { author })).rejects.toThrow(
    'is not at the end of its ramp: the next step is 0.25',
  );
  await approvePromotion(deps, key, author);
  await approvePromotion(deps, key, author);
  for (let step = 0; step < 2; step += 1) {
    await watch();
    expect((await look(key)).decision.action).toBe('step');
    shares.push(await shareNow());
    await addUnits(await getPromotion(pool, key));
  }
  expect(shares).toEqual([500, 1_000, 2_500, 5_000]);
  await watch();
  expect((await look(key)).decision.action).toBe('done');

  // Whoever is not the ramp does not move its traffic.
  const { experiment } = await getPromotion(pool, key);
  const target = { keyOrId: key, expectedVersion: experiment.version, author };
  const promoted = await inTransaction(pool, (tx) =>
    applyLifecycleCommand(tx, {
      ...target,
      field: 'to',
      checkModels: async () => ({ status: 'passed' }),
      commandFor: ({ variants }) => ({ kind: 'complete', winner: variants[1]!.variantId }),
    }),
  );
  expect(promoted).toMatchObject({
    status: 'refused',
    problems: [{ message: expect.stringContaining('ops promote finish') }],
  });

  // MLflow is away at the commit: Postgres holds, the difference is named, and the next check repairs it.
  const cut = createModelStages(createMlflowClient({ url: 'http://127.0.0.1:9' }));
  const finished = await finishPromotion({ ...deps, stages: cut }, key, { author });
  expect(finished).toMatchObject({ isNew: true, mlflow: { status: 'behind' } });
  expect((await findModelDifferences(pool, deps.stages!)).join()).toContain('Postgres has version 4 in production');
  await ops('promote', 'check');
  expect(await findModelDifferences(pool, deps.stages!)).toEqual([]);
  expect(await deps.stages!.findAlias(modelName, productionAlias)).toBe(4);
  expect([await tagsOf(1), await tagsOf(4)]).toEqual(['retired', 'production']);
  expect(await finishPromotion(deps, key, { author })).toMatchObject({
    isNew: false,
    mlflow: { status: 'in line', changed: [] },
  });

  const ended = await getPromotion(pool, key);
  expect(ended.experiment).toMatchObject({
    status: 'completed',
    serving: { mode: 'all_to', variantId: ended.candidate.variantId },
  });
  expect(ended.candidateVersion).toMatchObject({ status: 'production', firstProductionAt: expect.any(String) });
  expect(ended.controlVersion.status).toBe('retired');
  expect(await actionsOf(key)).toEqual(['start', 'step', 'step', 'approve', 'step', 'step', 'retire', 'finish']);
  const rows = await listLedger(pool, { keyOrId: key });
  expect(rows[1]?.evidence).toMatchObject({
    units: { control: 30, candidate: 30 },
    guardrails: [{ metric: 'latency' }],
  });
  expect(rows.at(-1)?.evidence).toMatchObject({
    replay: { verdict: 'pass', scores: { plan_alignment_score: { difference: 0.1 } } },
    effects: [
      { metric: 'acceptance_rate', control: expect.any(Number), estimate: expect.any(Number) },
      { metric: 'plan_alignment' },
      { metric: 'latency' },
    ],
  });

  // Prediction and effect side by side; this replay says nothing of edits.
  await recordAll(database.poolAs('guardrail_monitor'), new Map(), (error) => {
    throw error;
  });
  const calibration = await ops('promote', 'calibration');
  expect(calibration).toMatch(
    /ramped-promotion\/1 .* pass +finish +plan_alignment_score +\+0\.1 +plan_alignment +\+0\.1 +yes/,
  );
  const online = await database.poolAs('analyst').query(
    `SELECT DISTINCT promotion_ended_by, estimate_at_end IS NOT NULL AS has_estimate FROM exp.v_offline_vs_online
     WHERE experiment_key = 'ramped-promotion' AND metric_name = 'acceptance_rate'`,
  );
  expect(online.rows).toEqual([{ promotion_ended_by: 'finish', has_estimate: true }]);
  const reigns = await readReigns(pool, 'ramped');
  expect(reigns.map(({ model, to }) => [model, to === null])).toEqual([
    [`${modelName}/1`, false],
    [`${modelName}/4`, true],
  ]);
  const history = (on: string) => ops('model', 'history', 'ramped', '--on', on);
  expect(await history(before.toISOString())).toContain(`${modelName}/1`);
  expect(await history(new Date().toISOString())).toMatch(new RegExp(`${modelName}/4 +ramped@2 .* now `));
  expect(await history('2020-01-01')).toContain('no version of ramped was in production at 2020-01-01T23:59:59.999Z');
});

test('a broken guardrail ends a promotion with its row in the same transaction, and the next one begins anew', async () => {
  await createPolicy('guarded');
  await judge(5, 'pass');
  const promotion = await start('guarded', 5);
  await addUnits(promotion, 2);
  const monitor = database.poolAs('guardrail_monitor');
  const violation = (await findViolation(monitor, promotion.experiment.experimentId))!;
  const { rows } = await database.pool.query('SELECT epoch FROM exp.guardrail_lease');
  expect(await stopExperiment(monitor, violation, rows[0].epoch)).toBe('stopped');
  const key = 'guarded-promotion';
  const row = (await listLedger(pool, { keyOrId: key })).at(-1);
  expect(row).toMatchObject({
    action: 'roll-back',
    actor: 'guardrail-monitor',
    to_state: { candidate_share: 0, serving: 'off' },
  });
  expect(row?.evidence).toMatchObject({ guardrail: { metric: 'latency', variant: 'candidate' } });
  const stored = await database.pool.query(
    'SELECT count(*)::integer AS count FROM exp.assignments WHERE experiment_id = $1',
    [promotion.experiment.experimentId],
  );
  expect(stored.rows).toEqual([{ count: 60 }]);
  expect(await ops('promote', 'check', key)).toMatch(
    /: rolled back\n +by guardrail-monitor at .*latency of candidate is \+100 %/,
  );
  await expect(finishPromotion(deps, key, { author, force: 'all the same' })).rejects.toThrow('it was rolled back');
  await expect(approvePromotion(deps, key, author)).rejects.toThrow('it was rolled back');

  // The same model gets its policy version again, in a new iteration; a person rolls that back.
  const again = await start('guarded', 5);
  expect(again.experiment.iteration).toBe(2);
  expect(again.candidateVersion.version).toBe(2);
  await rollBackPromotion(deps, key, author);
  expect(await rollBackPromotion(deps, key, author)).toMatchObject({ isNew: false });
  expect((await getPromotion(pool, key)).experiment).toMatchObject({ status: 'completed', serving: { mode: 'off' } });
});

test('a finished promotion is taken back: control is delivered to all and in production again', async () => {
  await createPolicy('taken');
  await judge(6, 'pass');
  await start('taken', 6);
  await finishPromotion(deps, 'taken-promotion', { author, force: 'a hurry' });
  expect(await deps.stages!.findAlias(modelName, productionAlias)).toBe(6);
  const { promotion, isNew } = await rollBackPromotion(deps, 'taken-promotion', { ...author, reason: 'complaints' });
  expect(isNew).toBe(true);
  expect(promotion.experiment.serving).toEqual({ mode: 'all_to', variantId: promotion.control.variantId });
  expect([promotion.candidateVersion.status, promotion.controlVersion.status]).toEqual(['retired', 'production']);
  expect(await actionsOf('taken-promotion')).toEqual(['start', 'retire', 'finish', 'roll-back', 'reinstate']);
  expect(await deps.stages!.findAlias(modelName, productionAlias)).toBe(1);
});

test('doctor names a policy version whose model is gone and an alias that says something else, with what to do', async () => {
  const client = createMlflowClient({ url: mlflow.url });
  const findings = () => checkModels.run({ pool, models: deps.models, mlflow: client } as DoctorCluster);
  expect(await findings()).toMatchObject([{ state: 'ok' }]);
  await deps.stages!.setAlias(modelName, productionAlias, 4);
  const body = { name: modelName, version: '5' };
  await client.request({ method: 'DELETE', path: 'model-versions/delete', body, isRepeatable: true });
  expect(await findings()).toMatchObject([
    {
      state: 'problem',
      detail: expect.stringMatching(/^guarded@2 names model .* version 5, which MLflow cannot give: it was deleted/),
      advice: expect.stringContaining('promote another model version of guarded'),
    },
    { state: 'problem', detail: expect.stringContaining('names version 4, and Postgres has version 1 in production') },
  ]);
});

test('nobody can change the ledger', async () => {
  for (const statement of [
    "UPDATE exp.promotions SET reason = 'x'",
    'DELETE FROM exp.promotions',
    'TRUNCATE exp.promotions',
  ]) {
    await expect(database.pool.query(statement)).rejects.toThrow('exp.promotions is append-only');
    await expect(pool.query(statement)).rejects.toThrow('permission denied');
  }
});
