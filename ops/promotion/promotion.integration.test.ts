// Promotions on real Postgres and MLflow: what starts one, how its ramp goes, how it ends, and what the ledger and the registry say then.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createModelStages, productionAlias } from '#platform/mlflow/model-stages.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import { applyCoverage, applyLifecycleCommand } from '#producers/definition-store/change-definition.ts';
import { listPolicies } from '#producers/definition-store/policy-rows.ts';
import { findModelDifferences } from '#producers/promotion-store/align-models.ts';
import { finishPromotion, rollBackPromotion } from '#producers/promotion-store/end-promotion.ts';
import { approvePromotion } from '#producers/promotion-store/look-at-promotion.ts';
import { listLedger, readReigns } from '#producers/promotion-store/promotion-ledger.ts';
import { getPromotion } from '#producers/promotion-store/promotion-state.ts';
import { runOps } from '#tests/support/ops-command.ts';
import { openPromotionPlace, type PromotionPlace } from '#tests/support/promotion-place.ts';
import { stopExperiment } from '#workers/guardrail-monitor/act.ts';
import { findViolation } from '#workers/guardrail-monitor/find-violation.ts';
import { recordAll } from '#workers/guardrail-monitor/record-results.ts';
import type { DoctorCluster } from '../cluster/doctor.ts';
import { checkModels } from '../cluster/doctor-store-checks.ts';

const author = { actor: 'tester', reason: 'a test' };
let place: PromotionPlace;
beforeAll(async () => {
  place = await openPromotionPlace();
}, 600_000);
afterAll(() => place?.close());

test('no model version starts without a passed gate of exactly that version, and a failed one not even by force', async () => {
  await place.createPolicy('gated');
  await expect(place.start('gated', 2)).rejects.toThrow(
    `${place.modelName}/2 has not passed the gate: no replay has judged it. Run one with \`ops offline-replay run --model ${place.modelName}/2`,
  );
  await place.judge(2, 'pass');
  await place.judge(2, 'fail');
  for (const force of [undefined, 'we want it']) {
    await expect(place.start('gated', 2, { force })).rejects.toThrow(
      /failed the gate and gets no traffic, forced or not.*fail on dataset d/,
    );
  }
  await place.judge(3, 'inconclusive');
  await expect(place.start('gated', 3)).rejects.toThrow('inconclusive on dataset d');
  await expect(place.start('gated', 99, { force: 'x' })).rejects.toThrow('it does not exist');
  await expect(place.start('gated', 1, { force: 'x' })).rejects.toThrow('in production already, as gated@1');
  await expect(place.start('nowhere', 3)).rejects.toThrow('there is no policy nowhere (known: gated)');
  // Nothing was written on the way.
  expect((await listPolicies(place.pool))[0]?.versions).toHaveLength(1);
  expect((await listLedger(place.pool)).map(({ action }) => action)).toEqual(['bootstrap']);

  const forced = JSON.parse(
    await place.ops(
      ...['promote', 'start', `${place.modelName}/3`, '--policy', 'gated', '--reason', 'a try', '--steps', '0.02,0.1'],
      ...['--param', 'batch_wait_ms=20', '--force', 'few households', '--json'],
    ),
  );
  expect((await listPolicies(place.pool))[0]?.versions[1]?.configDefaults).toEqual({
    max_dinners: 7,
    batch_wait_ms: 20,
  });
  expect(forced).toMatchObject({
    experiment_key: 'gated-promotion',
    iteration: 1,
    policy_version: 'gated@2',
    policy_version_id: policyVersionIdOf('gated', 2),
    candidate_share: 0.02,
    state: 'running',
  });
  const [, row] = await listLedger(place.pool);
  expect(row).toMatchObject({ action: 'start', actor: 'tester', reason: 'a try', model: `${place.modelName}/3` });
  expect(row?.evidence).toMatchObject({ forced: 'few households', replay: { verdict: 'inconclusive' } });
  expect(await place.tagsOf(3)).toBe('candidate');
  await place.judge(4, 'pass');
  await expect(place.start('gated', 4)).rejects.toThrow('policy gated has the promotion gated-promotion under way');
  expect(await place.ops('promote', 'roll-back', 'gated-promotion', '--reason', 'a test')).toBe(
    `gated@2 (${place.modelName}/3) is rolled back: callers get their default again\n`,
  );
});

test('a ramp waits for units, time, guardrails and approval, and ends in production with ledger, alias, tags and history', async () => {
  await place.createPolicy('ramped');
  await place.judge(4, 'pass');
  const before = new Date();
  await place.start('ramped', 4);
  const key = 'ramped-promotion';
  const shares: number[] = [];
  const raised = await inTransaction(place.pool, (tx) =>
    applyCoverage(tx, { keyOrId: key, expectedVersion: 1, author, coverage: 1 }),
  );
  expect(raised).toMatchObject({ problems: [{ message: expect.stringContaining('its ramp raises the coverage') }] });
  const shareNow = async () => (await getPromotion(place.pool, key)).share;

  const first = (await place.look(key)).decision;
  expect(first).toMatchObject({ action: 'wait' });
  expect((first as { reasons: readonly string[] }).reasons.join('\n')).toMatch(
    /has not looked yet[\s\S]*guardrail latency cannot be judged[\s\S]*candidate has met 0 new units in this step, and 20 are wanted/,
  );
  await place.watch('metrics-aggregator is paused');
  await place.addUnits(await getPromotion(place.pool, key));
  expect((await place.look(key)).decision).toEqual({
    action: 'wait',
    reasons: ['guardrail-monitor rests: metrics-aggregator is paused'],
  });
  for (let step = 0; step < 2; step += 1) {
    await place.watch();
    // Many looks at once take one step.
    const looks = await Promise.all(Array.from({ length: 4 }, () => place.look(key)));
    expect(looks.filter(({ decision }) => decision.action === 'step')).toHaveLength(1);
    shares.push(await shareNow());
    await place.addUnits(await getPromotion(place.pool, key));
  }
  await place.watch();
  expect((await place.look(key)).decision).toMatchObject({ action: 'hold' });
  expect(await place.ops('promote', 'status', key)).toMatch(
    /state +holds at 0\.1 of traffic[\s\S]*ops promote approve ramped-promotion/,
  );
  await expect(place.ops('promote', 'finish', key, '--reason', 'at once')).rejects.toThrow(
    'is not at the end of its ramp: the next step is 0.25',
  );
  for (let times = 0; times < 2; times += 1)
    expect(await place.ops('promote', 'approve', key, '--reason', 'a test')).toContain(`${key} is approved`);
  for (let step = 0; step < 2; step += 1) {
    await place.watch();
    expect((await place.look(key)).decision.action).toBe('step');
    shares.push(await shareNow());
    await place.addUnits(await getPromotion(place.pool, key));
  }
  expect(shares).toEqual([500, 1_000, 2_500, 5_000]);
  await place.watch();
  expect((await place.look(key)).decision.action).toBe('done');

  // Whoever is not the ramp does not move its traffic.
  const { experiment } = await getPromotion(place.pool, key);
  const target = { keyOrId: key, expectedVersion: experiment.version, author };
  const promoted = await inTransaction(place.pool, (tx) =>
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
  const finished = await finishPromotion({ ...place.deps, stages: cut }, key, { author });
  expect(finished).toMatchObject({ isNew: true, mlflow: { status: 'behind' } });
  expect((await findModelDifferences(place.pool, place.deps.stages!)).join()).toContain(
    'Postgres has version 4 in production',
  );
  const checked = JSON.parse(await place.ops('promote', 'check', '--json'));
  expect(checked).toMatchObject({ promotions: [], mlflow: { status: 'in line' } });
  expect(await findModelDifferences(place.pool, place.deps.stages!)).toEqual([]);
  expect(await place.deps.stages!.findAlias(place.modelName, productionAlias)).toBe(4);
  expect([await place.tagsOf(1), await place.tagsOf(4)]).toEqual(['retired', 'production']);
  expect(JSON.parse(await place.ops('promote', 'finish', key, '--reason', 'again', '--json'))).toMatchObject({
    state: 'finished',
    mlflow: { status: 'in line', changed: [] },
  });

  const ended = await getPromotion(place.pool, key);
  expect(ended.experiment).toMatchObject({
    status: 'completed',
    serving: { mode: 'all_to', variantId: ended.candidate.variantId },
  });
  expect(ended.candidateVersion).toMatchObject({ status: 'production', firstProductionAt: expect.any(String) });
  expect(ended.controlVersion.status).toBe('retired');
  expect(await place.actionsOf(key)).toEqual(['start', 'step', 'step', 'approve', 'step', 'step', 'retire', 'finish']);
  const { ledger: rows } = JSON.parse(await place.ops('promote', 'ledger', key, '--json')) as {
    ledger: Awaited<ReturnType<typeof listLedger>>;
  };
  expect(rows).toHaveLength(8);
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
  await recordAll(place.database.poolAs('guardrail_monitor'), new Map(), (error) => {
    throw error;
  });
  const calibration = await place.ops('promote', 'calibration');
  expect(calibration).toMatch(
    /ramped-promotion\/1 .* pass +finish +plan_alignment_score +\+0\.1 +plan_alignment +\+0\.1 +yes/,
  );
  const online = await place.database.poolAs('analyst').query(
    `SELECT DISTINCT promotion_ended_by, estimate_at_end IS NOT NULL AS has_estimate FROM exp.v_offline_vs_online
     WHERE experiment_key = 'ramped-promotion' AND metric_name = 'acceptance_rate'`,
  );
  expect(online.rows).toEqual([{ promotion_ended_by: 'finish', has_estimate: true }]);
  const reigns = await readReigns(place.pool, 'ramped');
  expect(reigns.map(({ model, to }) => [model, to === null])).toEqual([
    [`${place.modelName}/1`, false],
    [`${place.modelName}/4`, true],
  ]);
  const history = (on: string) => place.ops('model', 'history', 'ramped', '--on', on);
  expect(await history(before.toISOString())).toContain(`${place.modelName}/1`);
  expect(await history(new Date().toISOString())).toMatch(new RegExp(`${place.modelName}/4 +ramped@2 .* now `));
  expect(await history('2020-01-01')).toContain('no version of ramped was in production at 2020-01-01T23:59:59.999Z');
});

test('a broken guardrail ends a promotion with its row in the same transaction, and the next one begins anew', async () => {
  await place.createPolicy('guarded');
  await place.judge(5, 'pass');
  const promotion = await place.start('guarded', 5);
  await place.addUnits(promotion, 2);
  const monitor = place.database.poolAs('guardrail_monitor');
  const violation = (await findViolation(monitor, promotion.experiment.experimentId))!;
  const { rows } = await place.database.pool.query('SELECT epoch FROM exp.guardrail_lease');
  expect(await stopExperiment(monitor, violation, rows[0].epoch)).toBe('stopped');
  const key = 'guarded-promotion';
  const row = (await listLedger(place.pool, { keyOrId: key })).at(-1);
  expect(row).toMatchObject({
    action: 'roll-back',
    actor: 'guardrail-monitor',
    to_state: { candidate_share: 0, serving: 'off' },
  });
  expect(row?.evidence).toMatchObject({ guardrail: { metric: 'latency', variant: 'candidate' } });
  const stored = await place.database.pool.query(
    'SELECT count(*)::integer AS count FROM exp.assignments WHERE experiment_id = $1',
    [promotion.experiment.experimentId],
  );
  expect(stored.rows).toEqual([{ count: 60 }]);
  expect(await place.ops('promote', 'check', key)).toMatch(
    /: rolled back\n +by guardrail-monitor at .*latency of candidate is \+100 %/,
  );
  await expect(finishPromotion(place.deps, key, { author, force: 'all the same' })).rejects.toThrow(
    'it was rolled back',
  );
  await expect(approvePromotion(place.deps, key, author)).rejects.toThrow('it was rolled back');

  // The same model gets its policy version again, in a new iteration; a person rolls that back.
  const again = await place.start('guarded', 5);
  expect(again.experiment.iteration).toBe(2);
  expect(again.candidateVersion.version).toBe(2);
  await rollBackPromotion(place.deps, key, author);
  expect(await place.ops('promote', 'roll-back', key, '--reason', 'again')).toContain(
    'was rolled back before: nothing to do',
  );
  expect((await getPromotion(place.pool, key)).experiment).toMatchObject({
    status: 'completed',
    serving: { mode: 'off' },
  });
});

test('a finished promotion is taken back: control is delivered to all and in production again', async () => {
  await place.createPolicy('taken');
  await place.judge(6, 'pass');
  await place.start('taken', 6);
  expect(await place.ops('promote', 'finish', 'taken-promotion', '--reason', 'a test', '--force', 'a hurry')).toBe(
    `taken@2 (${place.modelName}/6) is in production: everybody gets it\n`,
  );
  expect(await place.deps.stages!.findAlias(place.modelName, productionAlias)).toBe(6);
  // MLflow is away: what is decided holds, and the exit code tells that it is behind.
  const cutOff = { ...place.opsPlace, settings: { MLFLOW_URL: 'http://127.0.0.1:9' } };
  const told = await runOps(cutOff, ['promote', 'roll-back', 'taken-promotion', '--reason', 'complaints']);
  expect(told).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('everybody gets taken@1') });
  expect(told.stderr).toContain('MLflow');
  expect(await place.deps.stages!.findAlias(place.modelName, productionAlias)).toBe(6);
  await place.ops('promote', 'check');
  const promotion = await getPromotion(place.pool, 'taken-promotion');
  expect(promotion.experiment.serving).toEqual({ mode: 'all_to', variantId: promotion.control.variantId });
  expect([promotion.candidateVersion.status, promotion.controlVersion.status]).toEqual(['retired', 'production']);
  expect(await place.actionsOf('taken-promotion')).toEqual(['start', 'retire', 'finish', 'roll-back', 'reinstate']);
  expect(await place.deps.stages!.findAlias(place.modelName, productionAlias)).toBe(1);
});

test('doctor names a policy version whose model is gone and an alias that says something else, with what to do', async () => {
  const client = createMlflowClient({ url: place.mlflowUrl });
  const findings = () =>
    checkModels.run({ pool: place.pool, models: place.deps.models, mlflow: client } as DoctorCluster);
  expect(await findings()).toMatchObject([{ state: 'ok' }]);
  await place.deps.stages!.setAlias(place.modelName, productionAlias, 4);
  const body = { name: place.modelName, version: '5' };
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
    await expect(place.database.pool.query(statement)).rejects.toThrow('exp.promotions is append-only');
    await expect(place.pool.query(statement)).rejects.toThrow('permission denied');
  }
});
