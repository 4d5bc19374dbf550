// The guardrail monitor on real Postgres and Kafka: it stops once, whoever races it, rests while its input is behind, and stays latched.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import avro from 'avsc';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DefinitionBody } from '#domain/definitions/definition-body.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { startOutboxRelay } from '#producers/assignment-publisher/outbox-relay.ts';
import { createRelayMetrics } from '#producers/assignment-publisher/relay-metrics.ts';
import {
  applyCoverage,
  applyDefinition,
  applyLifecycleCommand,
} from '#producers/definition-store/change-definition.ts';
import { listDefinitionsById } from '#producers/definition-store/definition-rows.ts';
import { clearGuardrail } from '#producers/definition-store/guardrail-latch.ts';
import type { GuardrailActionRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { until } from '#tests/support/poll.ts';
import { fillUnitTables, storeAssignments, storeEvents, type TestEvent } from '#tests/support/results-data.ts';
import { stopExperiment } from './act.ts';
import { findViolation, type Violation } from './find-violation.ts';
import { createGuardrailOutbox } from './guardrail-outbox.ts';
import { createInputLag } from './input-lag.ts';
import { startGuardrailMonitor } from './monitor.ts';
import { recordAll } from './record-results.ts';
import { deliverWebhooks } from './webhook.ts';

let database: TestDatabase;
let kafka: TestTopics;
let pool: Pool;
let number = 0;
const author = { actor: 'operator', reason: 'a test' };
const checkModels = async () => ({ status: 'passed' as const });
const startMs = Date.UTC(2026, 2, 2);

beforeAll(async () => {
  [database, kafka] = await Promise.all([createTestDatabase(), createTestTopics(['events', 'guardrailActions'])]);
  pool = database.poolAs('guardrail_monitor', 8);
});
afterAll(async () => {
  await kafka?.drop();
  await database?.drop();
});

/** A running experiment whose treatment is slower by the factor, with 150 units in each variant. */
async function createExperiment(factor: number, change: Partial<DefinitionBody> = {}): Promise<Experiment> {
  number += 1;
  const body: DefinitionBody = {
    key: `guarded-${number}`,
    unit_type: 'user',
    status: 'running',
    coverage: 0.5,
    metrics: { primary: 'sales', guardrails: [{ metric: 'latency' }] },
    variants: [
      { name: 'control', allocation: 0.5, is_control: true },
      { name: 'treatment', allocation: 0.5 },
    ],
    ...change,
  };
  const result = await inTransaction(database.pool, (tx) => applyDefinition(tx, body, author));
  if (!('experiment' in result)) throw new Error(JSON.stringify(result));
  const { experiment } = result;
  const units = Array.from({ length: 300 }, (_, index) => ({
    unitId: `${body.key}-${index}`,
    variantId: experiment.variants[index % 2]!.variantId as string,
    atMs: startMs + index * 1_000,
  }));
  await storeAssignments(database.pool, experiment.experimentId, units);
  await storeEvents(
    database.pool,
    experiment.experimentId,
    units.flatMap(({ unitId, variantId, atMs }, index): TestEvent[] => [
      { unitId, variantId, type: 'exposure', atMs },
      {
        unitId,
        variantId,
        type: 'answer',
        atMs: atMs + 1,
        metrics: { latency_ms: (900 + (index % 60)) * (index % 2 === 1 ? factor : 1) },
      },
    ]),
  );
  await fillUnitTables(database.pool);
  return experiment;
}

function startMonitor(readEnds: () => Promise<ReadonlyMap<number, bigint>> = async () => new Map()) {
  return startGuardrailMonitor({
    pool,
    log: createSilentLogger(),
    metrics: createMetrics({ service: 'test' }),
    owner: 'test',
    intervalMs: 100,
    inputLag: createInputLag({ maxLagMs: 30_000, nowMs: Date.now }),
    readEnds,
    group: { groupId: 'metrics-aggregator', topic: 'events' },
    nowMs: Date.now,
  });
}

const stateOf = async ({ experimentId }: Experiment): Promise<Experiment> =>
  (await listDefinitionsById(database.pool, [experimentId]))[0]!.experiment;
const actionsOn = async ({ experimentId }: Experiment) =>
  (
    await database.pool.query('SELECT * FROM exp.guardrail_actions WHERE experiment_id = $1 ORDER BY id', [
      experimentId,
    ])
  ).rows;
const epoch = async (): Promise<bigint> =>
  (await database.pool.query('SELECT epoch FROM exp.guardrail_lease')).rows[0].epoch;
const isStopped = async (experiment: Experiment): Promise<boolean> =>
  (await stateOf(experiment)).serving.mode === 'off';

test('a broken guardrail stops enrolment and delivery once, with two monitors; a sound one and a latched one are left alone', async () => {
  const broken = await createExperiment(1.6);
  const sound = await createExperiment(1.02);
  const monitors = [startMonitor(), startMonitor()];
  try {
    await until('the stop', () => isStopped(broken));
    expect(await stateOf(broken)).toMatchObject({
      status: 'paused',
      serving: { mode: 'off' },
      version: broken.version + 1,
    });
    const [action] = await actionsOn(broken);
    expect(action).toMatchObject({ metric_name: 'latency', experiment_version: broken.version + 1, cleared_at: null });
    expect(action.evidence.summary).toMatch(/^latency of treatment is \+6\d.* against control: worse than accepted/);

    // A person may not start it again before the guardrail is cleared; afterwards it is judged anew.
    const command = (kind: 'resume' | 'restore', version: number) =>
      inTransaction(database.pool, (tx) =>
        applyLifecycleCommand(tx, {
          keyOrId: broken.experimentId,
          expectedVersion: version,
          author,
          field: 'to',
          commandFor: () => ({ kind }),
          checkModels,
        }),
      );
    expect(await command('restore', broken.version + 1)).toMatchObject({
      status: 'refused',
      problems: [{ message: expect.stringContaining('the guardrail latency stopped this experiment') }],
    });
    const raise = await inTransaction(database.pool, (tx) =>
      applyCoverage(tx, { keyOrId: broken.experimentId, expectedVersion: broken.version + 1, author, coverage: 1 }),
    );
    expect(raise).toMatchObject({ status: 'refused' });
    expect(await inTransaction(database.pool, (tx) => clearGuardrail(tx, broken.experimentKey, author))).toBe(true);
    expect(await command('restore', broken.version + 1)).toMatchObject({ status: 'changed' });
    await until('the second stop', async () => (await actionsOn(broken)).length === 2);
    expect(await actionsOn(sound)).toEqual([]);
    expect(await stateOf(sound)).toMatchObject({ status: 'running', version: sound.version });
    const { rows } = await database.pool.query(
      `SELECT actor, action FROM exp.audit_log WHERE subject = $1 ORDER BY id`,
      [`experiment/${broken.experimentKey}/1`],
    );
    expect(rows.map(({ actor, action: name }) => `${actor} ${name}`)).toEqual([
      'operator experiment.create',
      'guardrail-monitor experiment.guardrail-stop',
      'operator guardrail.clear',
      'operator experiment.transition',
      'guardrail-monitor experiment.guardrail-stop',
    ]);
  } finally {
    await Promise.all(monitors.map((monitor) => monitor[Symbol.asyncDispose]()));
  }
});

test('a ramp, an operator or a successor that came first wins: what was judged before is not acted on', async () => {
  const experiment = await createExperiment(1.6);
  const judged = (await findViolation(pool, experiment.experimentId))!;
  expect(judged.metric).toBe('latency');
  const raised = await inTransaction(database.pool, (tx) =>
    applyCoverage(tx, { keyOrId: experiment.experimentId, expectedVersion: experiment.version, author, coverage: 1 }),
  );
  expect(raised.status).toBe('changed');
  expect(await stopExperiment(pool, judged, await epoch())).toBe('changed');
  const again = (await findViolation(pool, experiment.experimentId))!;
  expect(await stopExperiment(pool, again, (await epoch()) - 1n)).toBe('fenced');
  expect(await actionsOn(experiment)).toEqual([]);
  // Ten ramps, operators and monitors at once: exactly one action, and it is on the version that it saw.
  const current = await epoch();
  const pause = inTransaction(database.pool, (tx) =>
    applyLifecycleCommand(tx, {
      keyOrId: experiment.experimentId,
      expectedVersion: again.experiment.version,
      author,
      field: 'to',
      commandFor: () => ({ kind: 'pause' }),
      checkModels,
    }),
  );
  const outcomes = await Promise.all([pause, ...Array.from({ length: 9 }, () => stopExperiment(pool, again, current))]);
  const stops = outcomes.slice(1).filter((outcome) => outcome === 'stopped').length;
  expect(stops + Number((outcomes[0] as { status: string }).status === 'changed')).toBe(1);
  expect(await actionsOn(experiment)).toHaveLength(stops);
  expect((await stateOf(experiment)).version).toBe(again.experiment.version + 1);
  if (stops === 0)
    expect(await stopExperiment(pool, (await findViolation(pool, experiment.experimentId)) as Violation, current)).toBe(
      'stopped',
    );
  // Delivery is off: nothing is watched any more.
  expect(await findViolation(pool, experiment.experimentId)).toBeNull();
});

test('it rests while its input is behind, replayed or paused, and acts when it has caught up', async () => {
  const experiment = await createExperiment(1.6);
  const monitor = startMonitor(async () => new Map([[0, 100n]]));
  const setPosition = (offset: number, paused: boolean) =>
    database.pool.query(
      `INSERT INTO exp.consumer_offsets (consumer_group, topic, kafka_partition, next_offset, cluster_id, topic_id, paused_at, paused_by)
       VALUES ('metrics-aggregator', 'events', 0, $1, 'c', 't', CASE WHEN $2 THEN now() END, CASE WHEN $2 THEN 'operator' END)
       ON CONFLICT (consumer_group, topic, kafka_partition)
       DO UPDATE SET next_offset = excluded.next_offset, paused_at = excluded.paused_at, paused_by = excluded.paused_by`,
      [offset, paused],
    );
  try {
    await until('rest without a position', () => monitor.state().idleReason?.includes('100 records'));
    await setPosition(40, false);
    await until('rest in a replay', () => monitor.state().idleReason?.includes('60 records'));
    await setPosition(100, true);
    await until('rest in a pause', () => monitor.state().idleReason?.includes('paused'));
    // Ramps wait meanwhile: they read it here.
    const lease = () =>
      database.pool.query(
        "SELECT idle_reason, looked_at > now() - interval '30 s' AS is_recent FROM exp.guardrail_lease",
      );
    expect((await lease()).rows).toEqual([{ idle_reason: 'metrics-aggregator is paused', is_recent: true }]);
    expect(await actionsOn(experiment)).toEqual([]);
    await setPosition(100, false);
    await until('the stop', () => isStopped(experiment));
    expect((await lease()).rows).toEqual([{ idle_reason: null, is_recent: true }]);
  } finally {
    await monitor[Symbol.asyncDispose]();
    await database.pool.query('DELETE FROM exp.consumer_offsets');
  }
});

test('results are recorded for SQL with their uncertainty and the decision, and what does not exist is null with its reason', async () => {
  const experiment = await createExperiment(1.6);
  await recordAll(pool, new Map(), (error) => {
    throw error;
  });
  const { rows } = await database.poolAs('analyst').query(
    `SELECT variant_name, metric_name, roles, estimate, lower, upper, guardrail, decision, not_computable, units FROM exp.v_experiment_results
     WHERE experiment_key = $1 ORDER BY metric_name`,
    [experiment.experimentKey],
  );
  expect(rows).toMatchObject([
    {
      variant_name: 'treatment',
      metric_name: 'latency',
      roles: ['guardrail'],
      guardrail: 'broken',
      decision: 'stop: guardrail',
      units: 300n,
    },
    { metric_name: 'sales', roles: ['primary'], estimate: null, not_computable: expect.stringContaining('zero') },
  ]);
  expect(rows[0].lower).toBeGreaterThan(0.2);
  expect(rows[0].upper).toBeGreaterThan(rows[0].estimate);
});

test('an action is announced on the topic and to the webhook, which is told again until it says that it knows', async () => {
  const requests: { key: string; body: Record<string, unknown> }[] = [];
  const server: Server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => {
      text += String(chunk);
    });
    request.on('end', () => {
      requests.push({
        key: String(request.headers['idempotency-key']),
        body: JSON.parse(text) as Record<string, unknown>,
      });
      response.writeHead(requests.length === 1 ? 503 : 204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await database.pool.query('UPDATE exp.guardrail_actions SET webhook_delivered_at = now(), published_at = now()');
  const experiment = await createExperiment(1.6);
  const violation = (await findViolation(pool, experiment.experimentId))!;
  expect(await stopExperiment(pool, violation, await epoch())).toBe('stopped');
  const [action] = await actionsOn(experiment);
  const relay = startOutboxRelay({
    pool,
    log: createSilentLogger(),
    producer: kafka.producer(),
    owner: 'test',
    metrics: createRelayMetrics(createMetrics({ service: 'test' })),
    outbox: createGuardrailOutbox({
      topic: kafka.name('guardrailActions'),
      encoder: () => kafka.encoder<GuardrailActionRecord>('guardrailActions'),
    }),
  });
  try {
    await until('the announcement', async () => (await actionsOn(experiment))[0].published_at !== null);
    const records = await kafka.readAll('guardrailActions');
    const type = avro.Type.forSchema(loadRecordSchema('guardrailAction'));
    expect(type.fromBuffer(records.at(-1)!.value!.subarray(5))).toMatchObject({
      action_id: action.action_id,
      experiment_key: experiment.experimentKey,
      variant_name: 'treatment',
      metric_name: 'latency',
    });
    const deliver = () => deliverWebhooks({ pool, url, log: createSilentLogger(), fetch: globalThis.fetch });
    expect([await deliver(), await deliver(), await deliver()]).toEqual([0, 1, 0]);
    expect(requests.map(({ key }) => key)).toEqual([action.action_id, action.action_id]);
    expect(requests[1]!.body).toMatchObject({
      type: 'guardrail-stop',
      metric_name: 'latency',
      evidence: { bound: 0.2 },
    });
  } finally {
    await relay[Symbol.asyncDispose]();
    await new Promise((resolve) => server.close(resolve));
  }
});
