// Households get their plans while a neighbor is away, slow or talks nonsense; what waits is bounded, told and sent, and a stop keeps its deadline.
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { policyIdOf, policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import { applyPolicies, bootstrapPolicyVersion } from '#producers/definition-store/policy-rows.ts';
import { sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';
import { writeDomainRows } from '#producers/planner-traffic/write-domain-rows.ts';
import { until } from '#tests/support/poll.ts';
import { readEvents } from '#tests/support/read-events.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';

const author = { actor: 'test', reason: 'a test of outages' };
const world = sampleWorld({ households: 1, days: 1 });
const householdId = world.members[0]!.householdId;
/** Bytes of some ten events. */
const maxQueuedEventBytes = 65_536;

let run: TestSystem;
/** In the place of the inference process: answers whatever a test says. */
let inference: Server;
let modelDeadlineMs = '300';
let answerOfInference: { status: number; body: string } | 'nothing' = 'nothing';

beforeAll(async () => {
  inference = createServer((request, response) => {
    request.resume();
    if (answerOfInference !== 'nothing')
      response.writeHead(answerOfInference.status, { 'content-type': 'application/json' }).end(answerOfInference.body);
  });
  await new Promise<void>((resolve) => inference.listen(0, '127.0.0.1', resolve));
  run = await startTestSystem(
    { 'assignment-service': 1, 'ingestion-service': 1, 'planner-service': 1 },
    {
      startAtFirst: { 'planner-service': 0 },
      overrides: ({ name }) =>
        name === 'planner-service'
          ? {
              ASSIGNMENT_URL: run.system.process('assignment-service').url,
              INGESTION_URL: run.system.process('ingestion-service').url,
              API_KEY: run.access.ingestKey,
              INFERENCE_URL: `http://127.0.0.1:${(inference.address() as AddressInfo).port}`,
              MODEL_DEADLINE_MS: modelDeadlineMs,
              MAX_QUEUED_EVENT_BYTES: String(maxQueuedEventBytes),
            }
          : {},
    },
  );
  await writeDomainRows(run.database.pool, world.rows);
  const version = {
    policyVersionId: policyVersionIdOf('planner', 1),
    policyName: 'planner',
    version: 1,
    modelName: 'planner_model',
    modelVersion: '1',
    configDefaults: {},
  };
  const policy = { policyId: policyIdOf('planner'), name: 'planner', description: null, versions: [version] };
  await inTransaction(run.database.pool, (tx) => applyPolicies(tx, [policy], author));
  await inTransaction(run.database.pool, (tx) => bootstrapPolicyVersion(tx, { name: 'planner', version: 1 }, author));
  await run.system.process('planner-service').start();
});
afterAll(async () => {
  inference?.closeAllConnections();
  inference?.close();
  await run?.stop();
});

const planner = () => run.system.process('planner-service');
type Answer = { status: number; plan_id?: string; code?: string; planner?: string; fallback_reason?: string | null };

async function ask(): Promise<Answer> {
  const response = await fetch(`${planner().url}/v1/plans`, {
    method: 'POST',
    headers: { authorization: `Bearer ${run.access.ingestKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      household_id: householdId,
      request: {
        workflow_type: 'weekly_plan',
        mode: 'standard',
        requested_at: '2026-01-05T12:00:00Z',
        slots: [{ date: '2026-01-06', meal: 'dinner', servings: 2 }],
      },
    }),
  });
  return { ...((await response.json()) as object), status: response.status };
}
const readiness = async () => (await fetch(`${planner().url}/readyz`)).json();
async function metricOf(series: string): Promise<number> {
  const text = await (await fetch(`${planner().url}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(series))
      ?.split(' ')
      .at(-1),
  );
}
const planIdsOnTopic = async () =>
  new Set(
    (await readEvents(run.topics)).flatMap(({ event }) => (event.payload ? JSON.parse(event.payload).plan_id : [])),
  );

test('whatever the inference process answers, or does not, the household gets the plan of the rules, and the reason', async () => {
  const empty = { slots: [], plan: [], tokens_in: 1, tokens_out: 1 };
  const cases: readonly [typeof answerOfInference, string][] = [
    ['nothing', 'timeout'],
    [{ status: 200, body: '<html>' }, 'unavailable'],
    [{ status: 200, body: 'null' }, 'invalid-answer'],
    [{ status: 200, body: JSON.stringify({ slots: [{}], plan: {}, tokens_in: 'x' }) }, 'invalid-answer'],
    [{ status: 200, body: JSON.stringify(empty) }, 'invalid-answer'],
    [{ status: 500, body: '{"code":"internal","message":"failed"}' }, 'unavailable'],
    [{ status: 503, body: '{"code":"out-of-memory","message":"there is too little memory"}' }, 'busy'],
    [{ status: 404, body: '{"code":"unknown-model","message":"none"}' }, 'unknown-model'],
  ];
  for (const [answer, reason] of cases) {
    answerOfInference = answer;
    expect(await ask(), JSON.stringify(answer)).toMatchObject({
      status: 200,
      planner: 'rule-based',
      fallback_reason: reason,
    });
  }
  answerOfInference = { status: 500, body: '{}' };
  await until('the circuit opens', async () => (await ask()).fallback_reason === 'circuit-open');
});

test('a frozen assignment service costs its deadline and no plan', async () => {
  answerOfInference = { status: 404, body: '{"code":"unknown-model","message":"none"}' };
  await run.system.process('assignment-service').kill('SIGSTOP');
  const before = await metricOf('planner_assignment_failures_total');
  expect(await ask()).toMatchObject({ status: 200, experiments: [], assignment: null });
  await run.system.process('assignment-service').kill('SIGCONT');
  expect(await metricOf('planner_assignment_failures_total')).toBe(before + 1);
});

test('while the ingestion service is away plans go on until so many bytes wait; later every event arrives', async () => {
  const served: string[] = [];
  expect(await readiness()).toMatchObject({ ingestion: 'reachable', events: 'accepted' });
  await run.system.process('ingestion-service').kill('SIGKILL');
  const refused = await until('a plan is refused', async () => {
    const answer = await ask();
    if (answer.plan_id !== undefined) served.push(answer.plan_id);
    return answer.status !== 200 && answer;
  });
  expect(refused).toMatchObject({ status: 503, code: 'overloaded' });
  expect(served.length).toBeGreaterThan(1);
  expect(await metricOf('planner_refused_plans_total{reason="waiting-events"')).toBeGreaterThan(0);
  expect(await metricOf('planner_waiting_event_bytes')).toBeLessThan(maxQueuedEventBytes * 2);
  await until('readiness tells', async () => {
    const detail = JSON.stringify(await readiness());
    return detail.includes('"ingestion":"away"') && detail.includes('"events":"full"');
  });
  await run.system.process('ingestion-service').start();
  await until('no event waits', async () => (await metricOf('planner_waiting_events')) === 0);
  const there = await planIdsOnTopic();
  expect(served.filter((planId) => !there.has(planId))).toEqual([]);
  expect(await metricOf('planner_events_total{outcome="lost"')).toBe(0);
  expect((await ask()).status).toBe(200);
});

test('a stop answers what is under way, waits only so long for the ingestion service, and names what is lost', async () => {
  await planner().stop();
  modelDeadlineMs = '60000';
  answerOfInference = 'nothing';
  await planner().start();
  await run.system.process('ingestion-service').kill('SIGKILL');
  const underWay = ask();
  await until('a plan is under way', async () => (await metricOf('planner_in_flight_plans')) === 1);
  await planner().kill('SIGTERM');
  expect(await underWay).toMatchObject({ status: 200, planner: 'rule-based', fallback_reason: 'unavailable' });
  const log = await readFile(planner().logPath, 'utf8');
  const lost = log.split('\n').find((line) => line.includes('events are lost: the process stops'));
  expect(JSON.parse(lost!)).toMatchObject({ level: 'error', count: 1, ids: [expect.any(String)] });
  expect(log).toContain('"exitCode":0');
  expect(log).not.toContain('stop took longer than its deadline');
});
