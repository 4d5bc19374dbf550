// Promise: scaling a group of a running local system loses nothing: members come and go under load, each partition keeps one owner, nobody is left over.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import { waitUntilCaughtUp } from '#infra/system/caught-up.ts';
import { type Control, startControl } from '#infra/system/control.ts';
import { type MemberProcess, scaleLocally } from '#ops/groups/scale-group.ts';
import { describeGroups } from '#platform/kafka/group-inspector.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { topics } from '#schemas/topics.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { type OpsPlace, runOpsJson } from '#tests/support/ops-command.ts';
import { until } from '#tests/support/poll.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';

const group = 'postgres-sink';
let run: TestSystem;
let control: Control;
let changes = 0;
const errors: string[] = [];

beforeAll(async () => {
  run = await startTestSystem({ [group]: 1 });
  control = await startControl({
    system: run.system,
    onChange: () => {
      changes += 1;
    },
    onError: (text) => errors.push(text),
  });
});
afterAll(async () => {
  await control?.[Symbol.asyncDispose]();
  await run?.stop();
});

const settings = () => ({ LOCAL_CONTROL_URL: control.access.url, LOCAL_CONTROL_TOKEN: control.access.token });
const scale = (count: number): Promise<MemberProcess[]> => scaleLocally(settings(), { name: group, count });

/** Partitions of each member, once every partition has exactly one owner. */
async function untilSharedBy(members: number): Promise<number[][]> {
  const admin = run.topics.kafka.admin();
  await admin.connect();
  try {
    return await until(`${members} members that share the partitions`, async () => {
      const [described] = await describeGroups(admin, [`${run.topics.namespace}.${group}`]);
      const owned = described!.members.map(({ partitions }) => [...(partitions.get(run.topics.name('events')) ?? [])]);
      const all = owned.flat().sort((a, b) => a - b);
      const isWhole = all.length === topics.events.partitions && new Set(all).size === all.length;
      return described!.state === 'Stable' && owned.length === members && isWhole && owned;
    });
  } finally {
    await admin.disconnect();
  }
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

it('starts and stops real members under load, and every event is stored once', async () => {
  const encode = await run.topics.encoder<EventRecord>('events');
  const producer = run.topics.producer();
  let sent = 0;
  let flowing = true;
  const flow = (async () => {
    while (flowing) {
      const events = Array.from({ length: 20 }, (_, index) => sampleEvent({ unit_id: `unit-${sent + index}` }));
      await producer.send(
        run.topics.name('events'),
        events.map((event) => ({ key: eventKeyOf(event), value: encode(event) })),
      );
      sent += events.length;
    }
  })();
  const three = await scale(3);
  expect(three.map(({ name }) => name)).toEqual([group, `${group}-2`, `${group}-3`]);
  for (const owned of await untilSharedBy(3)) expect(owned.length).toBe(4);

  // A member that ended by itself is started again by the same order.
  process.kill(three[2]!.pid, 'SIGKILL');
  await until('its end', () => !isAlive(three[2]!.pid));
  await until('the keeper noticing', () => run.unexpectedEnds.length === 1);
  const again = await scale(3);
  expect(again[2]!.pid).not.toBe(three[2]!.pid);

  const place: OpsPlace = {
    postgresUrl: run.database.urlAs('operator'),
    namespace: run.topics.namespace,
    erasureKey: run.access.erasureKey,
    settings: settings(),
  };
  const one = await runOpsJson<MemberProcess[]>(place, ['scale', group, '1']);
  expect(one).toEqual([three[0]]);
  await untilSharedBy(1);
  expect([three[1]!.pid, again[2]!.pid].filter(isAlive)).toEqual([]);
  flowing = false;
  await flow;
  const { topics: kafka, database } = run;
  await waitUntilCaughtUp({ kafka: kafka.kafka, pool: database.pool, namespace: kafka.namespace, wanted: [group] });
  const stored = await database.pool.query<{ count: bigint }>('SELECT count(*) AS count FROM exp.events');
  expect(Number(stored.rows[0]!.count)).toBe(sent);
  expect({ changes, errors }).toEqual({ changes: 3, errors: [] });
});

it('refuses what makes no sense, and whoever does not have the secret', async () => {
  await expect(scale(13)).rejects.toThrow('from 0 to 12');
  await expect(scaleLocally({}, { name: group, count: 2 })).rejects.toThrow('npm start -- --keep');
  const response = await fetch(`${control.access.url}/scale`, {
    method: 'POST',
    headers: { authorization: 'Bearer x' },
  });
  expect(response.status).toBe(401);
  expect(run.system.processes.size).toBe(1);
});
