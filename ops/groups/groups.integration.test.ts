// Pausing, resuming and replaying a group beside a running member, on real Kafka, registry and Postgres.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAssignmentLookup } from '#consumers/postgres-sink/assignment-lookup.ts';
import { createPostgresSink } from '#consumers/postgres-sink/sink.ts';
import { createEventParser } from '#domain/event/decode-event.ts';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import type { ArchiveCluster } from '#ops/cluster/cluster.ts';
import { formatGroups, readGroups } from '#ops/cluster/groups.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { topics } from '#schemas/topics.ts';
import { createTestCluster } from '#tests/support/cluster.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { metricValue, startTestMember, type TestMember } from '#tests/support/member.ts';
import { until } from '#tests/support/poll.ts';
import { pauseGroup, resumeGroup } from './pause-group.ts';
import { applyReplay, findReplay } from './replay-group.ts';

const acting = { group: 'postgres-sink', actor: 'tester', because: 'a test' } as const;
let database: TestDatabase;
let kafka: TestTopics;
let cluster: ArchiveCluster;
let member: TestMember;
let encode: (event: EventRecord) => Buffer;

const send = async (count: number): Promise<void> => {
  const events = Array.from({ length: count }, () => sampleEvent({ unit_id: randomUUID() }));
  await kafka.producer().send(
    kafka.name('events'),
    events.map((event) => ({ key: eventKeyOf(event), value: encode(event) })),
  );
};
const countEvents = async (): Promise<number> =>
  Number((await database.pool.query<{ count: bigint }>('SELECT count(*) AS count FROM exp.events')).rows[0]!.count);
const sumOfPositions = async (): Promise<number> =>
  Number(
    (await database.pool.query<{ sum: bigint }>('SELECT sum(next_offset)::bigint AS sum FROM exp.consumer_offsets'))
      .rows[0]!.sum,
  );
const outcomes = (outcome: string): Promise<number> =>
  metricValue(member.metrics, 'consumer_records_total', { outcome });

beforeAll(async () => {
  [database, kafka] = await Promise.all([createTestDatabase(), createTestTopics(['events', 'eventsDeadLetter'])]);
  cluster = createTestCluster(database, kafka);
  encode = await kafka.encoder<EventRecord>('events');
  const pool = database.poolAs('postgres_sink');
  member = await startTestMember({
    namespace: kafka.namespace,
    groupId: 'postgres-sink',
    topic: topics.events,
    deadLetterTopic: topics.eventsDeadLetter,
    pool,
    parse: createEventParser({ earliestMs: Date.UTC(2015, 0, 1), maxAheadMs: 3_600_000 }),
    sink: createPostgresSink({ pool, assignments: createAssignmentLookup() }),
  });
});

afterAll(async () => {
  await member.stop();
  cluster.objectStore.close();
  await kafka.drop();
  await database.drop();
});

describe('a paused group', () => {
  it('writes nothing until it is resumed, and is shown as paused with the reason', async () => {
    await send(50);
    await until('the first events', async () => (await countEvents()) === 50);
    await pauseGroup(cluster, acting);
    await send(50);
    const flushed = await sumOfPositions();
    // Its processes stay: the member is in the group and says that it is ready.
    const [report] = (await readGroups(cluster)).filter(({ group }) => group === 'postgres-sink');
    expect(report).toMatchObject({ state: 'Stable', unowned: [], paused: { by: 'tester', because: 'a test' } });
    expect(formatGroups([report!])).toContain('is paused since');
    await until(
      'the member noticed',
      async () => (await metricValue(member.metrics, 'consumer_ownership_lost_total')) > 0,
    );
    expect([await countEvents(), await sumOfPositions()]).toEqual([50, flushed]);

    await resumeGroup(cluster, acting);
    await until('the rest', async () => (await countEvents()) === 100);
    expect(member.failures).toEqual([]);
    const audited = await database.pool.query(
      `SELECT action, actor, detail ->> 'because' AS because FROM exp.audit_log ORDER BY id`,
    );
    expect(audited.rows).toEqual([
      { action: 'group.pause', actor: 'tester', because: 'a test' },
      { action: 'group.resume', actor: 'tester', because: 'a test' },
    ]);
  });
});

describe('a replay', () => {
  it('lets a running member read again what it stored, as duplicates, from the start or a time', async () => {
    await until('everything read', async () => (await sumOfPositions()) === 100);
    const before = await outcomes('duplicate');
    const fromStart = { group: 'postgres-sink', start: { kind: 'earliest' }, allowSkip: false } as const;
    const plan = await findReplay(cluster, fromStart);
    expect(plan.problems).toEqual([]);
    expect(plan.partitions.reduce((sum, { again }) => sum + again, 0n)).toBe(100n);
    expect(await sumOfPositions(), 'a plan changes nothing').toBe(100);
    await applyReplay(cluster, { ...fromStart, ...acting }, plan);
    await until('duplicates of all', async () => (await outcomes('duplicate')) === before + 100);
    await until('the end', async () => (await sumOfPositions()) === 100);
    expect(await countEvents()).toBe(100);

    const nothing = await findReplay(cluster, {
      ...fromStart,
      start: { kind: 'time', time: new Date(Date.now() + 60_000) },
    });
    expect(nothing.partitions.every(({ again }) => again === 0n)).toBe(true);
    expect(member.failures).toEqual([]);
  });

  it('of the archiver is refused', async () => {
    const asked = { group: 'parquet-archiver', start: { kind: 'earliest' }, allowSkip: false } as const;
    const plan = await findReplay(cluster, asked);
    expect(plan.problems[0]).toContain('the archive has these offsets');
    await expect(applyReplay(cluster, { ...asked, ...acting, group: 'parquet-archiver' }, plan)).rejects.toThrow(
      'nothing was done',
    );
  });
});
