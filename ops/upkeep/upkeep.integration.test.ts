// Upkeep on real Postgres and S3: days ahead, and only such event days are dropped as are old, archived and unused.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createGroupSink as createAggregatorSink } from '#consumers/metrics-aggregator/group-sink.ts';
import { createGroupSink as createPostgresSinkOfGroup } from '#consumers/postgres-sink/group-sink.ts';
import type { ArchiveCluster } from '#ops/cluster/cluster.ts';
import { classifyError } from '#platform/errors.ts';
import { type ArchivedSegment, archiveSegments, sinkSegments } from '#tests/support/archive.ts';
import { createTestCluster } from '#tests/support/cluster.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { runUpkeep, type UpkeepOptions } from './run-upkeep.ts';

const erasure = { key: 'a-key-of-tests-only-with-32-characters-or-more' };
const dayMs = 86_400_000;
const today = Math.floor(Date.now() / dayMs) * dayMs;
const daysAgo = (days: number): number => today - days * dayMs;
const dayText = (days: number): string => new Date(daysAgo(days)).toISOString().slice(0, 10);
const options: UpkeepOptions = { daysAhead: 3, retentionDays: 60, actor: 'tester', dryRun: false };
let database: TestDatabase;
let kafka: TestTopics;
let cluster: ArchiveCluster;

/** Five events of a day, ingested on another day. */
const segment = (
  partition: number,
  firstOffset: number,
  eventDaysAgo: number,
  ingestDaysAgo: number,
): ArchivedSegment => ({
  partition,
  firstOffset: BigInt(firstOffset),
  appendTimeMs: daysAgo(ingestDaysAgo),
  events: Array.from({ length: 5 }, () =>
    sampleEvent({ event_time: daysAgo(eventDaysAgo) + 1_000, ingest_time: daysAgo(ingestDaysAgo) }),
  ),
});
const archive = (segments: readonly ArchivedSegment[]): Promise<void> =>
  archiveSegments(
    { pool: database.poolAs('parquet_archiver'), objectStore: cluster.objectStore, topic: cluster.topicName('events') },
    segments,
  );
const store = async (segments: readonly ArchivedSegment[]): Promise<void> => {
  const pool = database.poolAs('postgres_sink');
  await sinkSegments(
    { pool, sink: createPostgresSinkOfGroup({ erasure }, pool), topic: cluster.topicName('events') },
    segments,
  );
};

beforeAll(async () => {
  [database, kafka] = await Promise.all([createTestDatabase(), createTestTopics([])]);
  cluster = createTestCluster(database, kafka);
});

afterAll(async () => {
  for (const { objectKey } of await cluster.objectStore.list('events/'))
    if (objectKey.includes(cluster.topicName('events'))) await cluster.objectStore.delete(objectKey);
  cluster.objectStore.close();
  await kafka.drop();
  await database.drop();
});

describe('upkeep', () => {
  it('makes the tables of coming days, once', async () => {
    expect((await runUpkeep(cluster, { ...options, dryRun: true })).created).toHaveLength(5);
    expect(await runUpkeep(cluster, options)).toMatchObject({
      created: [dayText(1), dayText(0), dayText(-1), dayText(-2), dayText(-3)],
      dropped: [],
      kept: [],
    });
    expect((await runUpkeep(cluster, options)).created).toEqual([]);
  });

  it('drops days that are old and archived, says why others stay, and keeps a record', async () => {
    const old = segment(0, 0, 100, 99);
    const lateIngest = segment(0, 5, 101, 10);
    const unarchived = segment(1, 0, 102, 102);
    const young = segment(2, 0, 20, 20);
    await archive([old, lateIngest, young]);
    await store([old, lateIngest, unarchived, young]);
    const expected = {
      dropped: [{ day: dayText(100), events: 5 }],
      kept: [
        { day: dayText(102), reason: 'offsets 0 to 4 of partition 1 are not all archived' },
        { day: dayText(101), reason: 'events of it were ingested within the limit' },
      ],
    };
    expect(await runUpkeep(cluster, { ...options, dryRun: true })).toMatchObject(expected);
    expect(await runUpkeep(cluster, { ...options, retentionDays: undefined })).toMatchObject({ dropped: [], kept: [] });
    expect(await runUpkeep(cluster, options)).toMatchObject(expected);
    const { rows } = await database.pool.query(
      'SELECT event_date, event_count, dropped_by FROM exp.dropped_event_days',
    );
    expect(rows).toEqual([{ event_date: dayText(100), event_count: 5n, dropped_by: 'tester' }]);
    const left = await database.pool.query<{ day: string }>(
      'SELECT DISTINCT event_date AS day FROM exp.events ORDER BY 1',
    );
    expect(left.rows.map(({ day }) => day)).toEqual([dayText(102), dayText(101), dayText(20)]);
    await expect(runUpkeep(cluster, { ...options, retentionDays: 14 })).rejects.toThrow('at least 15 days');
  });

  it('keeps a day whose object is gone from the archive, and one that somebody uses, until the next run', async () => {
    const day = segment(3, 0, 90, 90);
    await archive([day]);
    await store([day]);
    const [object] = (await cluster.objectStore.list(`events/dt=${dayText(90)}/`)).filter(({ objectKey }) =>
      objectKey.includes(cluster.topicName('events')),
    );
    const body = await cluster.objectStore.get(object!.objectKey);
    await cluster.objectStore.delete(object!.objectKey);
    expect((await runUpkeep(cluster, options)).kept).toContainEqual({
      day: dayText(90),
      reason: `${object!.objectKey} is missing in the archive`,
    });
    await cluster.objectStore.put(object!.objectKey, body);
    const reader = await database.pool.connect();
    await reader.query('BEGIN');
    await reader.query('SELECT count(*) FROM exp.events');
    const busy = await runUpkeep(cluster, options);
    expect(busy.kept.find(({ day: kept }) => kept === dayText(90))?.reason).toContain('busy');
    await reader.query('ROLLBACK');
    reader.release();
    expect((await runUpkeep(cluster, options)).dropped).toEqual([{ day: dayText(90), events: 5 }]);
  });

  it('lets sinks go on that had seen a dropped day: its late events are stored and counted', async () => {
    const first = segment(4, 0, 80, 80);
    const late = segment(4, 5, 80, 1);
    const [sinkPool, aggregatorPool] = [database.poolAs('postgres_sink'), database.poolAs('metrics_aggregator')];
    const topic = cluster.topicName('events');
    const sinks = [
      { pool: sinkPool, sink: createPostgresSinkOfGroup({ erasure }, sinkPool), topic },
      {
        pool: aggregatorPool,
        sink: createAggregatorSink({ erasure, knownExposures: { capacity: 10 } }, aggregatorPool),
        topic,
      },
    ];
    await archive([first]);
    for (const sink of sinks) await sinkSegments(sink, [first]);
    expect((await runUpkeep(cluster, options)).dropped).toEqual([{ day: dayText(80), events: 5 }]);
    for (const sink of sinks) {
      const refused = await sinkSegments(sink, [late]).then(
        () => null,
        (error: unknown) => error,
      );
      // The runner tries such a batch again; the other sink may have made the day meanwhile.
      if (refused !== null) expect(classifyError(refused)).toBe('retryable');
      if (refused !== null) await sinkSegments(sink, [late]);
    }
    const { rows } = await database.pool.query<{ events: bigint; claims: bigint }>(
      `SELECT (SELECT count(*) FROM exp.events WHERE event_date = $1) AS events,
         (SELECT count(*) FROM exp.event_claims WHERE event_date = $1) AS claims`,
      [dayText(80)],
    );
    expect(rows).toEqual([{ events: 5n, claims: 5n }]);
  });

  it('removes actions on letters that their topic has expired', async () => {
    await database.pool.query(
      `INSERT INTO exp.dead_letter_actions (group_id, source_topic, source_partition, source_offset, action, at, actor)
       VALUES ('g', 't', 0, 1, 'discarded', now() - interval '99 days', 'x'), ('g', 't', 0, 2, 'discarded', now() - interval '101 days', 'x')`,
    );
    expect((await runUpkeep(cluster, options)).removedLetterActions).toBe(1);
  });
});
