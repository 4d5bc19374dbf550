// Reconciling beside running members, on real Kafka, registry and Postgres: damage is found, repaired, and new events still count.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createGroupSink as createAggregatorSink } from '#consumers/metrics-aggregator/group-sink.ts';
import { createGroupSink as createPostgresSinkOfGroup } from '#consumers/postgres-sink/group-sink.ts';
import { createEventParser } from '#domain/event/decode-event.ts';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import { waitUntilCaughtUp } from '#infra/system/caught-up.ts';
import type { ArchiveCluster } from '#ops/cluster/cluster.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { topics } from '#schemas/topics.ts';
import { createTestCluster } from '#tests/support/cluster.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { startTestMember, type TestMember } from '#tests/support/member.ts';
import { compareWithRecount } from '#tests/support/stored-events.ts';
import { compareAggregates, differenceCount } from './compare-aggregates.ts';
import { repairAggregates } from './repair-aggregates.ts';

const erasure = { key: 'a-key-of-tests-only-with-32-characters-or-more' };
const groups = ['postgres-sink', 'metrics-aggregator'] as const;
const acting = { actor: 'tester', because: 'a test' };
const firstDay = Date.UTC(2026, 0, 5);
const everything = { from: null, to: null };
let database: TestDatabase;
let kafka: TestTopics;
let cluster: ArchiveCluster;
let encode: (event: EventRecord) => Buffer;
const members: TestMember[] = [];

/** Three days of fifty units, each with an exposure among its purchases. */
const makeEvents = (count: number): EventRecord[] =>
  Array.from({ length: count }, (_, index) =>
    sampleEvent({
      unit_id: `unit-${index % 50}`,
      event_type: index % 70 === 4 ? 'exposure' : 'purchase',
      event_time: firstDay + ((index * 7_919) % 259_200) * 1_000,
      metrics: { revenue: (index % 97) / 7 },
    }),
  );

const send = async (events: readonly EventRecord[]): Promise<void> =>
  kafka.producer().send(
    kafka.name('events'),
    events.map((event) => ({ key: eventKeyOf(event), value: encode(event) })),
  );

const query = (sql: string, values: unknown[] = []) => database.pool.query(sql, values);

async function expectEqualToRecount(): Promise<void> {
  const { namespace, kafka: client } = kafka;
  await waitUntilCaughtUp({ kafka: client, pool: database.pool, namespace, wanted: groups });
  expect(members.flatMap(({ failures }) => failures)).toEqual([]);
  for (const [table, { different }] of Object.entries(await compareWithRecount(database.pool)))
    expect(different, table).toEqual([]);
}

beforeAll(async () => {
  [database, kafka] = await Promise.all([createTestDatabase(), createTestTopics(['events', 'eventsDeadLetter'])]);
  cluster = createTestCluster(database, kafka);
  encode = await kafka.encoder<EventRecord>('events');
  for (const groupId of groups) {
    const pool = database.poolAs(groupId === 'postgres-sink' ? 'postgres_sink' : 'metrics_aggregator');
    members.push(
      await startTestMember({
        namespace: kafka.namespace,
        groupId,
        topic: topics.events,
        deadLetterTopic: topics.eventsDeadLetter,
        pool,
        parse: createEventParser({ earliestMs: Date.UTC(2015, 0, 1), maxAheadMs: 3_600_000 }),
        sink:
          groupId === 'postgres-sink'
            ? createPostgresSinkOfGroup({ erasure }, pool)
            : createAggregatorSink({ erasure, knownExposures: { capacity: 1_000 } }, pool),
      }),
    );
  }
  await send(makeEvents(1_500));
});

afterAll(async () => {
  await Promise.all(members.map((member) => member.stop()));
  cluster.objectStore.close();
  await kafka.drop();
  await database.drop();
});

describe('a reconciliation', () => {
  it('finds no difference while events flow in', async () => {
    const flowing = send(makeEvents(1_000));
    for (let look = 0; look < 3; look += 1) {
      const comparison = await compareAggregates(cluster, everything);
      expect(differenceCount(comparison), JSON.stringify(comparison.tables)).toBe(0);
    }
    await flowing;
    await expectEqualToRecount();
    const { tables } = await compareAggregates(cluster, everything);
    expect(tables.map(({ table }) => table)).toHaveLength(6);
    for (const { table, rows } of tables) expect(rows, table).toBeGreaterThan(0);
  });

  it('finds and repairs every kind of damage beside running members', async () => {
    await query(`UPDATE exp.metric_aggregates SET count = count + 1 WHERE granularity = 'hour' AND bucket_start = $1`, [
      new Date(firstDay + 3_600_000),
    ]);
    await query(`DELETE FROM exp.metric_aggregate_bins WHERE bucket_start = $1 AND granularity = 'day'`, [
      new Date(firstDay),
    ]);
    await query(
      `INSERT INTO exp.unit_daily_metrics SELECT unit_type, 'nobody', metric_name, day, count, sum, min, max FROM exp.unit_daily_metrics
       WHERE day = '2026-01-06' LIMIT 1`,
    );
    await query(`UPDATE exp.unit_metrics SET sum = sum + 1 WHERE unit_id = 'unit-4'`);
    // A later exposure than the true one: members remember the true one.
    await query(
      `UPDATE exp.first_exposures SET first_exposed_at = first_exposed_at + interval '1 day' WHERE unit_id = 'unit-14'`,
    );
    await query(`DELETE FROM exp.unit_pending_metrics WHERE unit_id = 'unit-24'`);
    const comparison = await compareAggregates(cluster, everything);
    expect(comparison.days).toEqual(['2026-01-05', '2026-01-06']);
    expect(comparison.units.map(({ unitId }) => unitId).sort()).toEqual(['unit-14', 'unit-24', 'unit-4']);

    const flowing = send(makeEvents(1_000));
    const counts = await repairAggregates(cluster, comparison, acting);
    await flowing;
    expect(counts.unit_daily_metrics).toEqual({ written: 0, removed: 1 });
    expect(counts.first_exposures).toEqual({ written: 1, removed: 0 });
    await expectEqualToRecount();
    expect(await repairAggregates(cluster, comparison, acting), 'once more changes nothing').toEqual(
      Object.fromEntries(Object.keys(counts).map((table) => [table, { written: 0, removed: 0 }])),
    );
    const audited = await query(`SELECT count(*)::int AS count FROM exp.audit_log WHERE action = 'aggregates.repair'`);
    expect(audited.rows).toEqual([{ count: 6 }]);
  });

  it('looks at a window only, at full hours, and leaves units out then', async () => {
    const hour = (offset: number): Date => new Date(firstDay + offset * 3_600_000);
    await query(
      `UPDATE exp.metric_aggregates SET count = count + 1 WHERE granularity = 'hour' AND bucket_start IN ($1, $2)`,
      [hour(5), hour(30)],
    );
    const comparison = await compareAggregates(cluster, { from: hour(4), to: hour(8) });
    expect(comparison.tables.map(({ table, different }) => [table, different])).toEqual([
      ['metric_aggregates', 1],
      ['metric_aggregate_bins', 0],
      ['unit_daily_metrics', 0],
    ]);
    await repairAggregates(cluster, comparison, acting);
    expect((await compareAggregates(cluster, everything)).days).toEqual(['2026-01-06']);
    await repairAggregates(cluster, await compareAggregates(cluster, { from: hour(24), to: hour(48) }), acting);
    await expectEqualToRecount();
    await expect(compareAggregates(cluster, { from: new Date(firstDay + 1), to: null })).rejects.toThrow(
      'not the start of an hour',
    );
    await expect(compareAggregates(cluster, { from: hour(2), to: hour(2) })).rejects.toThrow('empty');
  });

  it('never touches what it cannot recount: days that retention has dropped', async () => {
    const other = randomUUID();
    await send(
      makeEvents(20).map((event) => ({ ...event, experiments: [{ experiment_id: other, variant_id: other }] })),
    );
    await expectEqualToRecount();
    const rowsOf = async () => (await query(`SELECT * FROM exp.metric_aggregates ORDER BY 1, 2, 3, 4, 5`)).rows;
    const before = await rowsOf();
    await query(`DELETE FROM exp.events WHERE event_date = '2026-01-05'`);
    expect(differenceCount(await compareAggregates(cluster, everything))).toBeGreaterThan(0);
    await query(
      `INSERT INTO exp.dropped_event_days (event_date, event_count, dropped_by) VALUES ('2026-01-05', 1, 'tester')`,
    );
    const comparison = await compareAggregates(cluster, everything);
    expect(comparison).toMatchObject({ days: [], units: [], droppedDays: ['2026-01-05'] });
    expect(comparison.partialExperiments).toHaveLength(2);
    await repairAggregates(cluster, { ...comparison, days: ['2026-01-05'] }, acting);
    expect(await rowsOf()).toEqual(before);
  });
});
