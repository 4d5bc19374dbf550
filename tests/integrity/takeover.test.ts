// Promise: after kill -9 of a group member another one writes its partitions' next row within 15 s; a named member restarts unnoticed.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import type { RunningProcess } from '#infra/system/system.ts';
import { topics } from '#schemas/topics.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { until } from '#tests/support/poll.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';

const promiseMs = 15_000;
const clients = ['kafkajs', 'platformatic'] as const;

let run: TestSystem | undefined;
let sending: { stop: () => Promise<void> } | undefined;

afterEach(async () => {
  await sending?.stop();
  await run?.stop();
  [run, sending] = [undefined, undefined];
});

/** One event into every partition, again and again. */
async function sendSteadily(system: TestSystem): Promise<{ stop: () => Promise<void> }> {
  const encode = await system.topics.encoder('events');
  const producer = system.topics.kafka.producer();
  await producer.connect();
  let stopping = false;
  const loop = (async () => {
    while (!stopping) {
      const messages = Array.from({ length: topics.events.partitions }, (_, partition) => ({
        partition,
        key: `user:unit-${partition}`,
        value: encode(sampleEvent({ unit_id: `unit-${partition}`, experiments: [], metrics: {} })),
      }));
      await producer.send({ topic: system.topics.name('events'), acks: -1, messages });
      await sleep(50);
    }
  })();
  return {
    stop: async () => {
      stopping = true;
      await loop;
      await producer.disconnect();
    },
  };
}

async function partitionsOf(member: RunningProcess): Promise<number[]> {
  const answer = await fetch(`${member.url}/readyz`);
  return ((await answer.json()) as { partitions: number[] }).partitions;
}

/** Highest stored offset by partition. */
async function readProgress(system: TestSystem): Promise<Map<number, bigint>> {
  const found = await system.database.pool.query<{ p: number; o: bigint }>(
    'SELECT source_partition AS p, max(source_offset) AS o FROM exp.events GROUP BY 1',
  );
  return new Map(found.rows.map(({ p, o }) => [p, o]));
}

async function rebalancesOf(member: RunningProcess): Promise<number> {
  const text = await (await fetch(`${member.url}/metrics`)).text();
  return Number(/^consumer_rebalances_total\{[^}]*\} (\d+)/m.exec(text)?.[1]);
}

/** Starts two members that share the partitions and both write. */
async function startPair(settings: (replica: number) => Readonly<Record<string, string>>): Promise<RunningProcess[]> {
  run = await startTestSystem({ 'postgres-sink': 2 }, { overrides: ({ replica }) => settings(replica) });
  const members = run.replicas('postgres-sink');
  await until('both members have partitions', async () => {
    const owned = await Promise.all(members.map(partitionsOf));
    return owned.every((partitions) => partitions.length === topics.events.partitions / 2);
  });
  sending = await sendSteadily(run);
  const system = run;
  await until(
    'rows come from every partition',
    async () => (await readProgress(system)).size === topics.events.partitions,
  );
  return members;
}

/** Resolves with ms until the first, and until each, of the partitions has a row beyond the mark. */
async function measureUntilNewRows(
  system: TestSystem,
  partitions: readonly number[],
  since: number,
): Promise<{ firstMs: number; allMs: number }> {
  const mark = await readProgress(system);
  const advanced = async (): Promise<number> => {
    const now = await readProgress(system);
    return partitions.filter((partition) => (now.get(partition) ?? -1n) > mark.get(partition)!).length;
  };
  const wait = { deadlineMs: 60_000, intervalMs: 20 };
  await until('a new row', async () => (await advanced()) > 0, wait);
  const firstMs = performance.now() - since;
  await until('new rows of every partition', async () => (await advanced()) === partitions.length, wait);
  return { firstMs, allMs: performance.now() - since };
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

test.each(clients)('with %s the first new row of a killed member comes within 15 s', async (client) => {
  const [victim, survivor] = await startPair(() => ({ KAFKA_CLIENT: client }));
  const lost = await partitionsOf(victim!);
  await victim!.kill('SIGKILL');
  const { firstMs, allMs } = await measureUntilNewRows(run!, lost, performance.now());
  console.log(
    `${client}: kill -9 to the first new row ${seconds(firstMs)}, to rows of all partitions ${seconds(allMs)}`,
  );
  expect(firstMs).toBeLessThan(promiseMs);
  expect(await partitionsOf(survivor!)).toEqual(expect.arrayContaining(lost));
});

test('a named member restarts without a rebalance, and its partitions wait for nothing but its start', async () => {
  const [restarted, other] = await startPair((replica) => ({
    KAFKA_CLIENT: 'platformatic',
    KAFKA_GROUP_INSTANCE_ID: `postgres-sink-${replica}`,
    // Longer than a restart takes on a busy machine.
    KAFKA_SESSION_TIMEOUT_MS: '45000',
  }));
  const [own, before] = [await partitionsOf(restarted!), await rebalancesOf(other!)];
  expect(before).toBeGreaterThan(0);
  const begin = performance.now();
  await restarted!.stop();
  await restarted!.start();
  const { allMs } = await measureUntilNewRows(run!, own, begin);
  console.log(
    `platformatic, named member: rolling restart to rows of all its partitions ${seconds(allMs)}, no rebalance`,
  );
  expect(await rebalancesOf(other!)).toBe(before);
  expect((await partitionsOf(restarted!)).toSorted()).toEqual(own.toSorted());
});
