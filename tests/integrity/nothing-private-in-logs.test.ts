// Promise: no unit id, API key or credential is in any log, at the lowest level, whatever is asked, sent or broken.
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import { waitUntilCaughtUp } from '#infra/system/caught-up.ts';
import { type Planner, startPlanner } from '#infra/system/planner.ts';
import { sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';
import { writeDomainRows } from '#producers/planner-traffic/write-domain-rows.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { definitionOf } from '#tests/support/assignment-service-instance.ts';
import { setDatabaseState } from '#tests/support/database-outage.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { until } from '#tests/support/poll.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';

const mark = 'zq7private3unit9';
const wrongKey = 'zq7-a-key-that-nobody-has';

/** Household ids are UUIDs: this is the one of the planner's requests. */
const { members, rows } = sampleWorld({ households: 1, days: 1 });
const household = members[0]!.householdId;

let run: TestSystem;
let planner: Planner;
let plannerFolder: string;
beforeAll(async () => {
  run = await startTestSystem(
    {
      'assignment-service': 1,
      'ingestion-service': 1,
      'postgres-sink': 1,
      'parquet-archiver': 1,
      'metrics-aggregator': 1,
      'dataset-builder': 1,
    },
    { overrides: () => ({ LOG_LEVEL: 'debug' }) },
  );
  await writeDomainRows(run.database.pool, rows);
  plannerFolder = await mkdtemp(join(tmpdir(), 'trialstream-planner-'));
  await mkdir(join(plannerFolder, 'logs'));
  planner = await startPlanner({
    // Nobody listens there: every plan of a model fails, which is what the logs speak of.
    endpoints: { ...stackEndpoints(), mlflow: { url: 'http://127.0.0.1:9' } },
    localDir: plannerFolder,
    assignmentUrl: run.system.process('assignment-service').url,
    ingestionUrl: run.system.process('ingestion-service').url,
    inferenceOptions: ['--log-level', 'debug'],
    overrides: {
      POSTGRES_URL: run.database.urlAs('planner_service'),
      LOG_LEVEL: 'debug',
      SHADOW_MODEL: 'planner_model/1',
      EVENT_RETRY_MS: '1000',
    },
    ports: 'free',
  });
  // The first start of the inference process installs its packages.
}, 1_200_000);
afterAll(async () => {
  await planner?.stop();
  await run?.stop();
  await rm(plannerFolder, { recursive: true, force: true });
});

type Ask = {
  url?: string;
  service?: 'assignment-service' | 'ingestion-service';
  key?: string;
  body?: unknown;
  headers?: object;
};

/** The status of a request; a text is sent as it is. */
async function ask(method: 'GET' | 'POST', path: string, options: Ask = {}): Promise<number> {
  const { service = 'assignment-service', key = run.access.adminKey, body, headers } = options;
  const response = await fetch(`${options.url ?? run.system.process(service).url}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  await response.arrayBuffer();
  return response.status;
}
const send = (body: unknown, headers: object = {}): Promise<number> =>
  ask('POST', '/v1/events', { service: 'ingestion-service', key: run.access.ingestKey, body, headers });

/** Plans by the rules and by a model that is away, and requests of every other kind; the statuses. */
async function askPlanner(): Promise<number[]> {
  const request = {
    workflow_type: 'weekly_plan',
    mode: 'standard',
    requested_at: '2026-01-05T12:00:00Z',
    slots: [{ date: '2026-01-06', meal: 'dinner', servings: 2 }],
  };
  const body = { household_id: household, request };
  const plan = (change: object, key = run.access.ingestKey) =>
    ask('POST', '/v1/plans', { url: planner.service.url, key, body: { ...body, ...change } });
  const infer = (asked: unknown) =>
    ask('POST', '/v1/plans', { url: planner.inference.url, key: wrongKey, body: asked });
  return [
    await plan({}),
    await plan({}, wrongKey),
    await plan({ household_id: household.replace(/^./, 'f') }),
    await plan({ [household]: 1 }),
    await plan({ request: { ...request, slots: [{ ...request.slots[0], candidates: [mark] }] } }),
    await infer({ model: 'planner_model/1', input: { household } }),
    await infer({ model: 'planner_model/1', input: household }),
    await infer(`{"household":"${household}"`),
  ];
}

async function askEverything(): Promise<Set<number>> {
  const statuses = new Set<number>();
  const collect = async (status: Promise<number>): Promise<void> => void statuses.add(await status);
  const unit = { unit_type: 'user', unit_id: `${mark}-1` };
  const item = { experiment: 'private', ...unit, variant: 'control' };
  await collect(ask('POST', '/v1/assignments', { body: { ...unit, context: { email: mark } } }));
  await collect(ask('POST', '/v1/assignments', { body: { ...unit, unit_id: `${mark}\u0000` } }));
  await collect(ask('POST', '/v1/assignments', { body: { ...unit, requested_experiments: [mark] } }));
  await collect(ask('POST', '/v1/assignments', { body: `{"unit_id":"${mark}"` }));
  await collect(ask('POST', '/v1/assignments', { key: wrongKey, body: unit }));
  await collect(
    ask('POST', '/v1/assignments/import', { body: { assignments: [item, { ...item, variant: 'treatment' }] } }),
  );
  await collect(
    ask('POST', '/v1/units/link', { body: { anonymous: unit, logged_in: { ...unit, unit_id: `${mark}-2` } } }),
  );
  await collect(ask('POST', '/ofrep/v1/evaluate/flags/private', { body: { context: { targetingKey: mark } } }));
  await collect(ask('POST', `/ofrep/v1/evaluate/flags/${mark}`, { body: { context: { targetingKey: mark } } }));
  await collect(ask('GET', `/v1/units/user/${mark}-1/assignments`));
  await collect(ask('GET', `/v1/units/user/${mark}-1/explain?experiment=private`));
  await collect(ask('GET', `/v1/nowhere/${mark}?unit=${mark}`));
  await collect(ask('POST', '/v1/units/erase', { body: unit }));
  const event = { event_type: 'view', ...unit, event_id: crypto.randomUUID(), timestamp: new Date().toISOString() };
  await collect(send([event, { ...event, metrics: { x: 'y' } }, { ...event, [mark]: 1 }]));
  await collect(send({ ...event, metrics: { revenue: 1 } }));
  await collect(send(event, { 'idempotency-key': mark }));
  await collect(send(`{"unit_id":"${mark}"`));
  await collect(send(event, { authorization: `Bearer ${wrongKey}` }));
  await collect(
    send({ ...event, event_id: crypto.randomUUID(), experiments: [{ experiment_id: mark, variant_id: mark }] }),
  );
  return statuses;
}

/** Records that no service would write, with the mark in key and value. */
async function producePoison(): Promise<void> {
  const encode = await run.topics.encoder<EventRecord>('events');
  const producer = run.topics.producer();
  const good = sampleEvent({ unit_id: mark, experiments: [], event_time: Date.now(), context: { email: mark } });
  const broken = { ...good, metrics: { revenue: Number.NaN } };
  const exposure = { ...sampleEvent({ unit_id: mark, event_time: Date.now() }), event_type: 'exposure' };
  await producer.send(
    run.topics.name('events'),
    [
      Buffer.from(mark),
      encode(good).subarray(0, 60),
      encode(good),
      encode({ ...good, metrics: { other: 1 } }),
      encode(broken),
      encode(exposure),
    ].map((value) => ({ key: eventKeyOf(good), value })),
  );
}

test('requests, events, poison, outages and erasure leave no unit id and no secret in the logs', async () => {
  const forced = definitionOf({ key: 'private', forced_variants: { [`${mark}-forced`]: 'treatment' } });
  expect(await ask('POST', '/v1/experiments', { body: forced })).toBe(201);
  const statuses = await askEverything();
  for (const status of [200, 400, 401, 404]) expect([...statuses]).toContain(status);
  expect(await askPlanner()).toEqual([200, 401, 404, 400, 200, 503, 400, 400]);
  await producePoison();
  await waitUntilCaughtUp({ kafka: run.topics.kafka, pool: run.database.pool, namespace: run.topics.namespace });

  const broken = ['assignment_service', 'postgres_sink', 'metrics_aggregator', 'planner_service'] as const;
  for (const role of broken) await setDatabaseState(run.database, role, 'away');
  await until('new units are refused', async () => {
    return (await ask('POST', '/v1/assignments', { body: { unit_type: 'user', unit_id: `${mark}-3` } })) === 503;
  });
  await askEverything();
  expect((await askPlanner())[0]).toBe(503);
  for (const role of broken) await setDatabaseState(run.database, role, 'back');
  await until('new units are assigned again', async () => {
    return (await ask('POST', '/v1/assignments', { body: { unit_type: 'user', unit_id: `${mark}-3` } })) === 200;
  });
  await waitUntilCaughtUp({ kafka: run.topics.kafka, pool: run.database.pool, namespace: run.topics.namespace });
  await run.replicas('ingestion-service')[0]!.kill();
  await until('the planner reads its tables again', async () => (await askPlanner())[0] === 200);
  await planner.stop();
  await run.system.stop();

  const endpoints = stackEndpoints();
  const { rolePassword, adminKey, ingestKey, erasureKey } = run.access;
  const secrets = {
    'a unit id': mark,
    'a household id': household,
    'a wrong key': wrongKey,
    'the admin key': adminKey,
    'the ingest key': ingestKey,
    'the erasure key': erasureKey,
    'the password of roles': rolePassword,
    'the password of the superuser': endpoints.postgres.superuserPassword,
    'the secret key of the object store': endpoints.objectStore.secretAccessKey,
  };
  let debugLines = 0;
  for (const { name, logPath } of [...run.system.processes.values(), planner.service, planner.inference]) {
    const log = await readFile(logPath, 'utf8');
    expect(log.length, name).toBeGreaterThan(100);
    debugLines += log.split('\n').filter((line) => line.includes('"level":"debug"')).length;
    for (const [what, secret] of Object.entries(secrets)) {
      const lines = log.split('\n').filter((line) => line.includes(secret));
      expect(lines.slice(0, 2), `${name} logs ${what}`).toEqual([]);
    }
  }
  expect(debugLines).toBeGreaterThan(0);
  expect(run.unexpectedEnds).toEqual([]);
});
