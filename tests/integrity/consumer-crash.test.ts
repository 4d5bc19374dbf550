// Promise: kill -9 of any consumer process in mid-run loses nothing and counts nothing twice, in all four groups.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventDateOf } from '#domain/event/parse-event.ts';
import { createRandom, type Random } from '#domain/planning/seeded-random.ts';
import { waitUntilCaughtUp } from '#infra/system/caught-up.ts';
import { plannerExperiment } from '#producers/planner-traffic/planner-experiment.ts';
import { runPlannerTraffic } from '#producers/planner-traffic/run-planner-traffic.ts';
import { sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';
import { createHttpWorkloadPort } from '#producers/workload-client/http-workload-port.ts';
import type { EventBody, WorkloadPort } from '#producers/workload-client/workload-port.ts';
import { inNamespace, topics } from '#schemas/topics.ts';
import { createExperiment } from '#tests/support/service-client.ts';
import {
  compareWithRecount,
  findArchiveGaps,
  readArchive,
  readLogEnds,
  readPositions,
  readStoredEvents,
} from '#tests/support/stored-events.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';

const seed = 20_261_124;
const killsPerGroup = 2;
const groups = topics.events.groups;

let run: TestSystem;

beforeAll(async () => {
  run = await startTestSystem({
    'assignment-service': 1,
    'ingestion-service': 1,
    'postgres-sink': 2,
    'parquet-archiver': 2,
    'metrics-aggregator': 2,
    'dataset-builder': 2,
  });
});
afterAll(async () => {
  await run?.stop();
});

/** A port to the services that remembers every acknowledged event. */
function createRecordingPort(acknowledged: Map<string, EventBody>): WorkloadPort {
  const port = createHttpWorkloadPort({
    assignmentUrl: run.system.process('assignment-service').url,
    ingestionUrl: run.system.process('ingestion-service').url,
    apiKey: run.access.ingestKey,
    adminKey: run.access.adminKey,
  });
  return {
    ...port,
    send: async (events) => {
      const outcomes = await port.send(events);
      for (const [index, { status }] of outcomes.entries())
        if (status === 'accepted') acknowledged.set(events[index]!.event_id, events[index]!);
      return outcomes;
    },
  };
}

function randomPurchase(random: Random, number: number, experiment: { id: string; variants: string[] }): EventBody {
  const unit = Math.floor(random() * 500);
  return {
    event_id: `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`,
    event_type: unit % 3 === 0 ? 'view' : 'purchase',
    unit_type: 'user',
    unit_id: `user-${unit}`,
    experiments: [{ experiment_id: experiment.id, variant_id: experiment.variants[unit % 2]! }],
    context: {},
    metrics: { revenue: random() * 100, items: Math.floor(random() * 5) },
    timestamp: new Date(Date.UTC(2026, 9, 1) + Math.floor(random() * 50 * 3_600_000)).toISOString(),
  };
}

/** Sends purchases, every seventh batch twice, until it is told to stop. */
async function sendUntil(done: () => boolean, port: WorkloadPort, experiment: { id: string; variants: string[] }) {
  const random = createRandom(`purchases/${seed}`);
  let sent = 0;
  for (let batchNumber = 0; !done(); batchNumber += 1) {
    const batch = Array.from({ length: 50 }, () => randomPurchase(random, sent++, experiment));
    await port.send(batch);
    if (batchNumber % 7 === 0) await port.send(batch);
    // A steady stream for as long as the kills take, not as many events as the machine can carry.
    await sleep(50);
  }
}

/** Kills one of the two members after a random time and starts it again, several times. Resolves with where the group was then. */
async function killMembers(group: (typeof groups)[number]): Promise<bigint[]> {
  const random = createRandom(`kills/${group}/${seed}`);
  const positions: bigint[] = [];
  for (let kill = 0; kill < killsPerGroup; kill += 1) {
    await sleep(300 + random() * 2_500);
    const victim = run.replicas(group)[Math.floor(random() * 2)]!;
    const pid = victim.pid!;
    await victim.kill('SIGKILL');
    expect(() => process.kill(pid, 0), `${victim.name} is gone`).toThrow('ESRCH');
    const stored = await readPositions(run.database.pool, inNamespace(group, run.topics.namespace));
    positions.push([...stored.values()].reduce((sum, offset) => sum + offset, 0n));
    await victim.start();
  }
  return positions;
}

test('every acknowledged event counts once after kill -9 of members of every group', async () => {
  const acknowledged = new Map<string, EventBody>();
  const port = createRecordingPort(acknowledged);
  const crash = await createExperiment(run, { key: 'crash', exposure: 'implicit' });
  const experiment = { id: crash.experiment_id, variants: crash.variants.map(({ variant_id }) => variant_id) };
  await createExperiment(run, { ...plannerExperiment, variants: [...plannerExperiment.variants], status: 'running' });

  let killing = true;
  const purchases = sendUntil(() => !killing, port, experiment);
  const plans = runPlannerTraffic(
    {
      world: sampleWorld({ seed, households: 60, days: 14 }),
      effects: {},
      experiments: [plannerExperiment.key],
      delivery: { batchSize: 10, batchesInFlight: 1 },
    },
    port,
  );
  const positions = await Promise.all(groups.map(killMembers)).finally(() => {
    killing = false;
  });
  await purchases;
  expect((await plans).events.rejected).toBe(0);
  await waitUntilCaughtUp({ kafka: run.topics.kafka, pool: run.database.pool, namespace: run.topics.namespace });
  expect(run.unexpectedEnds).toEqual([]);

  const { pool } = run.database;
  const ends = await readLogEnds(run.topics.kafka, run.topics.namespace);
  const recordCount = [...ends.values()].reduce((sum, end) => sum + end, 0n);
  expect([...ends.values()].filter((end) => end > 0n)).toHaveLength(topics.events.partitions);
  for (const [index, group] of groups.entries()) {
    expect(await readPositions(pool, inNamespace(group, run.topics.namespace)), group).toEqual(ends);
    // Each kill came while there was still something to read.
    for (const position of positions[index]!) expect(position, group).toBeLessThan(recordCount);
  }
  expect(await run.topics.readAll('eventsDeadLetter')).toEqual([]);

  const expected = [...acknowledged.values()]
    .map(({ event_id, timestamp }) => `${event_id}/${eventDateOf(Date.parse(timestamp))}`)
    .sort();
  expect(expected.length).toBeLessThan(Number(recordCount));
  expect(await readStoredEvents(pool)).toEqual(expected);

  const archive = await readArchive(pool, run.objectStore);
  expect(archive.events).toEqual(expected);
  expect([archive.records, archive.repeatedPositions]).toEqual([Number(recordCount), 0]);
  expect(await findArchiveGaps(pool, ends)).toEqual([]);

  for (const [table, { rows, different }] of Object.entries(await compareWithRecount(pool))) {
    expect(different, table).toEqual([]);
    if (table !== 'unit_pending_metrics') expect(rows, table).toBeGreaterThan(0);
  }

  const planIdsOf = (...types: string[]): string[] =>
    [...acknowledged.values()]
      .filter(({ event_type }) => types.includes(event_type))
      .map(({ payload }) => (payload as { plan_id: string }).plan_id)
      .sort();
  const rows = await pool.query<{ plan_id: string; reaction: string | null }>(
    'SELECT plan_id, reaction FROM exp.training_rows WHERE request IS NOT NULL ORDER BY plan_id',
  );
  expect(rows.rows.map(({ plan_id }) => plan_id)).toEqual(planIdsOf('plan_generated'));
  const reacted = rows.rows.filter(({ reaction }) => reaction !== null).map(({ plan_id }) => plan_id);
  expect(reacted).toEqual(planIdsOf('plan_accepted', 'plan_edited'));
  expect(reacted.length).toBeGreaterThan(0);
});
