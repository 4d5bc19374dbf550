// Promise: results of traffic that travelled through HTTP, Kafka and the groups are right: effect, no effect, broken split, guardrail.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readResults } from '#analytics/results/read-results.ts';
import { createCatalogueFromSource } from '#domain/planning/catalogue.ts';
import { testGuardrail } from '#domain/results/compare-variants.ts';
import type { ExperimentResults } from '#domain/results/results.ts';
import { estimateEffect } from '#domain/statistics/effect.ts';
import { momentsOf } from '#domain/statistics/moments.ts';
import { ratioStatistic } from '#domain/statistics/ratio.ts';
import { isComputed, type Outcome } from '#domain/statistics/result.ts';
import { meanSample } from '#domain/statistics/sample.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import { applyMetrics } from '#producers/definition-store/metric-rows.ts';
import { plannerExperiment } from '#producers/planner-traffic/planner-experiment.ts';
import { runPlannerTraffic } from '#producers/planner-traffic/run-planner-traffic.ts';
import type { VariantEffect } from '#producers/planner-traffic/simulate-traffic.ts';
import { simulateWorld } from '#producers/planner-traffic/world.ts';
import { createHttpWorkloadPort } from '#producers/workload-client/http-workload-port.ts';
import { until } from '#tests/support/poll.ts';
import { post } from '#tests/support/service-client.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';

const households = 600;
let run: TestSystem;

beforeAll(async () => {
  run = await startTestSystem({
    'assignment-service': 1,
    'ingestion-service': 1,
    'postgres-sink': 1,
    'metrics-aggregator': 1,
    'guardrail-monitor': 1,
  });
  await inTransaction(run.database.pool, (tx) =>
    applyMetrics(
      tx,
      [
        {
          name: 'acceptance_points',
          kind: 'ratio',
          numerator: 'accepted',
          denominator: { metric: 'accepted', take: 'count' },
          scale: 'absolute',
        },
      ],
      { actor: 'test', reason: 'the true effect is known in points' },
    ),
  );
});
afterAll(async () => {
  await run?.stop();
});

/** Sends the traffic of a world whose candidate has this effect, in an experiment of its own; gives the key. */
async function sendTraffic(key: string, candidate: VariantEffect): Promise<void> {
  const { system, access } = run;
  const assignmentUrl = system.process('assignment-service').url;
  const definition = {
    ...plannerExperiment,
    key,
    status: 'running',
    metrics: {
      primary: 'acceptance_points',
      secondary: ['plan_alignment', 'latency_p90'],
      guardrails: [{ metric: 'latency' }, { metric: 'cost_per_plan' }],
    },
  };
  await post(`${assignmentUrl}/v1/experiments`, access.adminKey, definition, [200, 201]);
  const port = createHttpWorkloadPort({
    assignmentUrl,
    ingestionUrl: system.process('ingestion-service').url,
    apiKey: access.ingestKey,
    adminKey: access.adminKey,
  });
  const recipes = JSON.parse(readFileSync(new URL('../../data/recipes.json', import.meta.url), 'utf8'));
  const world = simulateWorld({
    seed: 3,
    households,
    days: 14,
    start: '2026-01-05',
    catalogue: createCatalogueFromSource(recipes),
  });
  const { events } = await runPlannerTraffic({ world, effects: { candidate }, experiments: [key] }, port);
  expect(events.rejected).toBe(0);
}

async function read(key: string): Promise<ExperimentResults> {
  await until(
    'the groups have caught up',
    async () => {
      const { rows } = await run.database.pool.query<{ stored: bigint; claimed: bigint }>(
        'SELECT (SELECT count(*) FROM exp.events) AS stored, (SELECT count(*) FROM exp.event_claims) AS claimed',
      );
      return rows[0]!.stored === rows[0]!.claimed;
    },
    { deadlineMs: 120_000 },
  );
  const results = await readResults(run.database.poolAs('analyst'), key);
  if (results === null) throw new Error(`no results of ${key}`);
  return results;
}

function value<T>(outcome: Outcome<T>): T {
  if (!isComputed(outcome)) throw new Error(outcome.detail);
  return outcome;
}
const alarms = ['stop: guardrail', 'stop: harmful', 'invalid: sample ratio', 'ship'];

test('a known effect lies in its interval, and is found', async () => {
  await sendTraffic('with-effect', { acceptance: 0.1 });
  const results = await read('with-effect');
  expect(results.units).toMatchObject({ excluded: 0, contradictingEvents: 0 });
  expect(results.units.analyzed).toBeGreaterThan(households * 0.9);
  const { interval } = value(results.metrics[0]!.comparisons[0]!.effect);
  expect(interval.lower).toBeLessThan(0.1);
  expect(interval.upper).toBeGreaterThan(0.1);
  expect(interval.lower).toBeGreaterThan(0);
  expect(value(results.sampleRatio.exposed.anytime).pValue).toBeGreaterThan(0.001);
  for (const metric of results.metrics) expect(metric.comparisons[0]!.effect.status, metric.name).toBe('computed');
});

test('without an effect there is no alarm', async () => {
  await sendTraffic('without-effect', {});
  const results = await read('without-effect');
  const { interval } = value(results.metrics[0]!.comparisons[0]!.effect);
  expect(interval.lower).toBeLessThan(0);
  expect(interval.upper).toBeGreaterThan(0);
  expect(alarms).not.toContain(results.decisions[0]!.status);
  expect((await run.database.pool.query('SELECT FROM exp.guardrail_actions')).rowCount).toBe(0);
});

test('a variant that loses units is a sample ratio alarm, although its assignments are sound', async () => {
  await sendTraffic('broken-split', { lostShare: 0.4 });
  const results = await read('broken-split');
  expect(results.decisions[0]!.status).toBe('invalid: sample ratio');
  expect(value(results.sampleRatio.assigned.anytime).pValue).toBeGreaterThan(0.001);
});

type Observed = { unit_id: string; variant_id: string; latency: number | null; created_at: Date };

/** When the events, in the order in which they were accepted, were first enough to break the guardrail. */
async function findTippingTime(results: ExperimentResults): Promise<Date> {
  const { rows } = await run.database.pool.query<Observed>(
    `SELECT e.unit_id, r.variant_id, (e.metrics ->> 'latency_ms')::float8 AS latency, e.created_at
     FROM exp.events e CROSS JOIN LATERAL jsonb_to_recordset(e.experiments) AS r (experiment_id uuid, variant_id uuid)
     WHERE r.experiment_id = $1 ORDER BY e.created_at, e.event_time`,
    [results.experiment.experimentId],
  );
  const sums = new Map<string, { variantId: string; sum: number; count: number }>();
  for (const [index, { unit_id, variant_id, latency, created_at }] of rows.entries()) {
    const unit = sums.get(unit_id) ?? { variantId: variant_id, sum: 0, count: 0 };
    sums.set(unit_id, latency === null ? unit : { ...unit, sum: unit.sum + latency, count: unit.count + 1 });
    if (index % 10 !== 9) continue;
    const [control, treatment] = results.units.byVariant.map(({ variantId }) => {
      const units = [...sums.values()].filter((one) => one.variantId === variantId);
      const numerator = momentsOf(units.map(({ sum }) => sum));
      const denominator = momentsOf(units.map(({ count }) => count));
      const coMoment = units.reduce(
        (total, { sum, count }) => total + (sum - numerator.mean) * (count - denominator.mean),
        0,
      );
      return ratioStatistic({ numerator: meanSample(numerator), denominator: meanSample(denominator), coMoment });
    });
    if (control!.count < 100 || treatment!.count < 100) continue;
    const evidence = testGuardrail(estimateEffect(control!, treatment!, { scale: 'relative' }), {
      harmful: 'increase',
      bound: 0.2,
      alpha: 0.05 / 2,
      tuningUnits: 5_000,
    });
    if (isComputed(evidence) && evidence.isBroken) return created_at;
  }
  throw new Error('the guardrail is not broken by these events');
}

test('a latency regression stops enrolment and delivery within 10 s of the event that tips it', async () => {
  await sendTraffic('slow-candidate', { latencyFactor: 1.6 });
  const action = await until('the stop', async () => {
    const { rows } = await run.database.pool.query<{
      created_at: Date;
      metric_name: string;
      published_at: Date | null;
    }>('SELECT created_at, metric_name, published_at FROM exp.guardrail_actions WHERE published_at IS NOT NULL');
    return rows[0];
  });
  expect(action.metric_name).toBe('latency');
  const results = await read('slow-candidate');
  expect(results.experiment).toMatchObject({ status: 'paused', serving: { mode: 'off' } });
  const seconds = (action.created_at.getTime() - (await findTippingTime(results)).getTime()) / 1_000;
  process.stderr.write(`guardrail: stopped ${seconds.toFixed(1)} s after the event that tipped it was accepted\n`);
  expect(seconds).toBeLessThan(10);
  // Who asks now gets the default, and nobody new is enrolled.
  const answer = await post<{ assignments: unknown[]; not_assigned: { reason: string }[] }>(
    `${run.system.process('assignment-service').url}/v1/assignments`,
    run.access.ingestKey,
    { unit_type: 'household', unit_id: 'a-new-household', requested_experiments: ['slow-candidate'] },
    [200],
  );
  expect(answer.assignments).toEqual([]);
  expect(run.unexpectedEnds).toEqual([]);
});
