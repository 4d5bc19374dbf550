// Long outages: Kafka, Postgres and S3 stay away for a minute while events keep coming, and everything goes on by itself afterwards.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { eventDateOf } from '#domain/event/parse-event.ts';
import { waitUntilCaughtUp } from '#infra/system/caught-up.ts';
import type { ProcessName } from '#infra/system/process-specs.ts';
import { inNamespace, topics } from '#schemas/topics.ts';
import { sampleExperiment, storeSampleExperiment } from '#tests/support/events.ts';
import { until } from '#tests/support/poll.ts';
import { readLogEnds, readPositions } from '#tests/support/stored-events.ts';
import type { ChaosStack } from './chaos-stack.ts';
import type { FaultLink, LinkState } from './fault-link.ts';
import { findViolations } from './invariants.ts';
import { createLedger, type Ledger } from './ledger.ts';
import type { Dependency } from './moments.ts';
import { recordOffsetMoves } from './offset-history.ts';
import { type Station, type SystemUnderFire, startSystemUnderFire } from './system-under-fire.ts';
import { startTraffic } from './traffic.ts';

export const outageMs = 60_000;

type Doors = readonly FaultLink[];
type UnderTraffic = {
  readonly system: SystemUnderFire;
  readonly ledger: Ledger;
  readonly complaints: string[];
  /** Ids of all processes: the same at the end as at the start, or one was restarted. */
  readonly pids: () => (number | undefined)[];
  stopTraffic(): Promise<void>;
};

async function startUnderTraffic(
  chaos: ChaosStack,
  doors: Doors,
  replicas: Partial<Record<ProcessName, number>>,
  settings: Readonly<Record<string, string>>,
): Promise<UnderTraffic> {
  const system = await startSystemUnderFire({ stack: chaos.stack, doors, replicas, settings: () => settings });
  const { run } = system;
  await recordOffsetMoves(run.database.pool);
  await storeSampleExperiment(run.database.pool);
  const ledger = createLedger();
  const complaints: string[] = [];
  const traffic = startTraffic({
    seed: 60,
    ledger,
    ingestionUrls: system.of('ingestion-service').map(({ process }) => process.url),
    apiKey: run.access.ingestKey,
    experiment: sampleExperiment,
    complain: (problem) => complaints.push(problem),
  });
  return {
    system,
    ledger,
    complaints,
    pids: () => system.stations.map(({ process }) => process.pid),
    stopTraffic: () => traffic.stop(),
  };
}

function become(stations: readonly Station[], dependency: Dependency, state: LinkState): void {
  for (const { links } of stations) links[dependency].become(state);
}

/** Half of the time nothing passes, half of the time connections break. */
async function stayAway(stations: readonly Station[], dependency: Dependency): Promise<void> {
  become(stations, dependency, { kind: 'silent' });
  await sleep(outageMs / 2);
  become(stations, dependency, { kind: 'cut' });
  await sleep(outageMs / 2);
}

/** Waits for the groups, stops the traffic, and expects that nothing is lost and no process has ended. */
async function expectUnharmed(
  { system, ledger, complaints, pids, stopTraffic }: UnderTraffic,
  before: readonly (number | undefined)[],
  groups: readonly (typeof topics.events.groups)[number][],
): Promise<void> {
  const { run } = system;
  await stopTraffic();
  expect(run.unexpectedEnds).toEqual([]);
  expect(complaints).toEqual([]);
  expect(pids()).toEqual(before);
  const findings = await findViolations(run, ledger, { groups, answers: new Map() });
  expect(findings.problems).toEqual([]);
  expect(ledger.count('acknowledged')).toBeGreaterThan(0);
}

const endsNow = ({ run }: SystemUnderFire) => readLogEnds(run.topics.kafka, run.topics.namespace);

async function hasPassed(system: SystemUnderFire, group: string, ends: ReadonlyMap<number, bigint>): Promise<boolean> {
  const { run } = system;
  const stored = await readPositions(run.database.pool, inNamespace(group, run.topics.namespace));
  return [...ends].every(([partition, end]) => (stored.get(partition) ?? 0n) >= end);
}

/** The answer of the ingestion service to one small event, and how long it took. */
async function probe(
  url: string,
  key: string,
  ledger: Ledger,
): Promise<{ status: number; retryAfter: string | null; ms: number }> {
  const [eventId, timestamp] = [randomUUID(), new Date()];
  ledger.sent({ eventId, identity: `${eventId}/${eventDateOf(timestamp.getTime())}`, unit: 'user:probe' });
  const begin = performance.now();
  const answer = await fetch(`${url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ event_id: eventId, event_type: 'view', unit_type: 'user', unit_id: 'probe', timestamp }),
  });
  await answer.arrayBuffer();
  if (answer.status === 202) ledger.answered(eventId, 'acknowledged');
  return { status: answer.status, retryAfter: answer.headers.get('retry-after'), ms: performance.now() - begin };
}

/** Kafka away for a minute: the door answers 503 in bounded time, loses nothing that it acknowledged, and is ready again by itself. */
export async function checkKafkaAway(chaos: ChaosStack, doors: Doors): Promise<void> {
  const deliveryTimeoutMs = 5_000;
  const under = await startUnderTraffic(
    chaos,
    doors,
    { 'ingestion-service': 1, 'postgres-sink': 1 },
    { DELIVERY_TIMEOUT_MS: String(deliveryTimeoutMs) },
  );
  const { system, ledger } = under;
  try {
    const [{ process: door }] = system.of('ingestion-service') as [Station];
    const before = under.pids();
    const key = system.run.access.ingestKey;
    await until('events are acknowledged', () => ledger.count('acknowledged') > 100);
    const away = stayAway(system.stations, 'kafka');
    // One request is out and has no answer; who comes now is told so without waiting for its end.
    await sleep(2 * deliveryTimeoutMs);
    const during = await probe(door.url, key, ledger);
    expect(during).toMatchObject({ status: 503, retryAfter: expect.stringMatching(/^\d+$/) });
    expect(during.ms).toBeLessThan(3 * deliveryTimeoutMs);
    const readiness = await fetch(`${door.url}/readyz`);
    expect([readiness.status, ((await readiness.json()) as { kafka: string }).kafka]).toEqual([200, 'away']);
    await away;
    const acknowledged = ledger.count('acknowledged');
    become(system.stations, 'kafka', { kind: 'open' });
    await until('events are acknowledged again', () => ledger.count('acknowledged') > acknowledged + 100, {
      deadlineMs: 60_000,
    });
    expect((await probe(door.url, key, ledger)).status).toBe(202);
    await under.stopTraffic();
    const ends = await endsNow(system);
    await until('the sink has caught up', () => hasPassed(system, 'postgres-sink', ends), { deadlineMs: 60_000 });
    await expectUnharmed(under, before, ['postgres-sink']);
  } finally {
    await system.stop();
  }
}

/**
 * S3 away, then Postgres too, for a minute: the archiver waits and the other groups do not notice; then all groups wait, while the door
 * goes on from memory; then everything catches up.
 */
export async function checkStoresAway(chaos: ChaosStack, doors: Doors): Promise<void> {
  const groups = topics.events.groups;
  const under = await startUnderTraffic(
    chaos,
    doors,
    { 'ingestion-service': 1, ...Object.fromEntries(groups.map((group) => [group, 1])) },
    {},
  );
  const { system, ledger } = under;
  const { run } = system;
  try {
    const before = under.pids();
    const archiver = system.of('parquet-archiver');
    await until('the archiver has archived something', async () => {
      const found = await run.database.pool.query(`SELECT FROM exp.archive_manifest WHERE status = 'committed'`);
      return (found.rowCount ?? 0) > 0;
    });
    become(archiver, 'objectStore', { kind: 'silent' });
    const goal = ledger.count('acknowledged') + 500;
    await until('traffic goes on without S3', () => ledger.count('acknowledged') > goal, { deadlineMs: 60_000 });
    const ends = await endsNow(system);
    for (const group of groups.filter((name) => name !== 'parquet-archiver'))
      await until(`${group} does not notice`, () => hasPassed(system, group, ends), { deadlineMs: 60_000 });
    expect(await hasPassed(system, 'parquet-archiver', ends)).toBe(false);

    const acknowledged = ledger.count('acknowledged');
    await stayAway(system.stations, 'postgres');
    // The door works from memory.
    expect(ledger.count('acknowledged')).toBeGreaterThan(acknowledged + 500);
    become(system.stations, 'postgres', { kind: 'open' });
    become(archiver, 'objectStore', { kind: 'open' });
    await under.stopTraffic();
    await waitUntilCaughtUp({ ...run.topics, pool: run.database.pool });
    await expectUnharmed(under, before, groups);
  } finally {
    await system.stop();
  }
}
