// `ops archive verify` on real Postgres and S3: silent when all agrees, and each kind of damage is found and named.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createAssignmentLookup } from '#consumers/postgres-sink/assignment-lookup.ts';
import { createPostgresSink } from '#consumers/postgres-sink/sink.ts';
import { segmentKeyOf } from '#domain/archive/archive-layout.ts';
import type { ArchiveCluster } from '#ops/cluster/cluster.ts';
import { archiveSegments, sinkSegments } from '#tests/support/archive.ts';
import { createTestCluster } from '#tests/support/cluster.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { formatArchiveReport, verifyArchive } from './verify-archive.ts';

const anHour = Date.UTC(2026, 0, 5, 3);
let database: TestDatabase;
let kafka: TestTopics;
let cluster: ArchiveCluster;
let topic: string;

const query = (sql: string, values: unknown[] = []) => database.pool.query(sql, values);

beforeAll(async () => {
  [database, kafka] = await Promise.all([createTestDatabase(), createTestTopics(['events'])]);
  cluster = createTestCluster(database, kafka);
  topic = cluster.topicName('events');
  const segments = Array.from({ length: 4 }, (_, index) => ({
    partition: index % 2,
    firstOffset: index < 2 ? 0n : 50n,
    appendTimeMs: anHour + index,
    events: Array.from({ length: 50 }, () => sampleEvent({ event_time: anHour })),
  }));
  // The same event again: a duplicate in Postgres, two records in the archive.
  segments[2]!.events[0] = segments[0]!.events[0]!;
  const archiver = { pool: database.poolAs('parquet_archiver'), objectStore: cluster.objectStore, topic };
  await archiveSegments(archiver, segments);
  const pool = database.poolAs('postgres_sink');
  await sinkSegments(
    { pool, sink: createPostgresSink({ pool, assignments: createAssignmentLookup() }), topic },
    segments,
  );
  await query(
    `INSERT INTO exp.consumer_offsets (consumer_group, topic, kafka_partition, next_offset, cluster_id, topic_id)
     SELECT g, $2, p, 100, 'c', 't' FROM unnest($1::text[]) g, generate_series(0, 1) p`,
    [[cluster.groupName('postgres-sink'), cluster.groupName('parquet-archiver')], topic],
  );
});

afterAll(async () => {
  const objects = await cluster.objectStore.list('events/');
  for (const { objectKey } of objects) if (objectKey.includes(topic)) await cluster.objectStore.delete(objectKey);
  cluster.objectStore.close();
  await kafka.drop();
  await database.drop();
});

const window = { from: '2026-01-01', to: '2026-02-01' };
const verify = () => verifyArchive(cluster, { content: true, events: window });
const kindsFound = async (): Promise<string[]> => [...new Set((await verify()).problems.map(({ kind }) => kind))];

it('finds nothing to complain about in an archive that is whole', async () => {
  const report = await verify();
  expect(report).toMatchObject({
    manifest: { segments: 4, compacted: 0, openClaims: [] },
    objects: { objects: 4 },
    events: { archived: 199, stored: 199 },
    problems: [],
  });
  expect(formatArchiveReport(report)).toContain('all of it agrees');
});

it('says which ranges are missing, doubled, or not where the group is', async () => {
  await query(`UPDATE exp.archive_manifest SET first_offset = 52 WHERE kafka_partition = 0 AND first_offset = 50`);
  expect((await verify()).problems).toEqual([{ kind: 'gap', text: 'partition 0: offsets 50 to 51 are in no segment' }]);
  await query(`UPDATE exp.archive_manifest SET first_offset = 48 WHERE kafka_partition = 0 AND first_offset = 52`);
  expect((await verify()).problems).toEqual([
    { kind: 'overlap', text: 'partition 0: offsets 48 to 49 are in more than one segment' },
  ]);
  await query(`UPDATE exp.archive_manifest SET first_offset = 50 WHERE kafka_partition = 0 AND first_offset = 48`);
  await query(`UPDATE exp.archive_manifest SET kafka_partition = 77 WHERE kafka_partition = 0 AND first_offset = 0`);
  expect((await verifyArchive(cluster, { content: false, events: null })).problems).toContainEqual({
    kind: 'position',
    text: 'partition 0: offsets 0 to 49 are in no segment, but the archiver has passed them and Kafka still has them',
  });
  await query(`UPDATE exp.archive_manifest SET kafka_partition = 77 WHERE kafka_partition = 0`);
  expect((await verifyArchive(cluster, { content: false, events: null })).problems).toContainEqual({
    kind: 'position',
    text: 'partition 0: offsets 0 to 99 are in no segment, but the archiver has passed them and Kafka still has them',
  });
  await query(`UPDATE exp.archive_manifest SET kafka_partition = 0 WHERE kafka_partition = 77`);
  const group = cluster.groupName('parquet-archiver');
  await query('UPDATE exp.consumer_offsets SET next_offset = 90 WHERE consumer_group = $1 AND kafka_partition = 1', [
    group,
  ]);
  expect(await kindsFound()).toEqual(['position']);
  await query('UPDATE exp.consumer_offsets SET next_offset = 100 WHERE consumer_group = $1', [group]);
});

it('finds objects that are gone, changed, miscounted or unknown', async () => {
  const { objectStore } = cluster;
  const hour = { dt: '2026-01-05', hour: 3 };
  const objectKey = segmentKeyOf({ topic, partition: 0, firstOffset: 0n, lastOffset: 49n, hour });
  const body = await objectStore.get(objectKey);
  await objectStore.delete(objectKey);
  expect((await verifyArchive(cluster, { content: false, events: null })).problems).toMatchObject([
    { kind: 'object-missing', text: `${objectKey} is missing` },
  ]);
  expect(await kindsFound()).toEqual(['object-missing', 'object-unreadable']);
  await objectStore.put(objectKey, Buffer.concat([body, Buffer.from('x')]));
  expect(await kindsFound()).toEqual(['object-changed', 'object-unreadable']);
  await objectStore.put(objectKey, Buffer.from(body).fill(7, 20, 30));
  expect((await verifyArchive(cluster, { content: false, events: null })).problems, 'its size is right').toEqual([]);
  expect((await verifyArchive(cluster, { content: true, events: null })).problems).toMatchObject([
    { kind: 'object-changed' },
  ]);
  await objectStore.put(objectKey, body);
  await query('UPDATE exp.archive_manifest SET row_count = 51 WHERE object_key = $1', [objectKey]);
  expect(await kindsFound()).toEqual(['rows']);
  await query('UPDATE exp.archive_manifest SET row_count = 50 WHERE object_key = $1', [objectKey]);
  const stray = objectKey.replace('+0+', '+9+');
  await objectStore.put(stray, body);
  expect((await verify()).problems).toEqual([{ kind: 'object-unknown', text: `${stray} is not in the manifest` }]);
  await objectStore.delete(stray);
  expect(await kindsFound()).toEqual([]);
});

it('finds events that only one side has, below the positions of both groups', async () => {
  const removed = await query(
    'DELETE FROM exp.events WHERE event_id = (SELECT event_id FROM exp.events ORDER BY event_id LIMIT 1) RETURNING event_id',
  );
  const [{ event_id: eventId }] = removed.rows as [{ event_id: string }];
  await query(
    `INSERT INTO exp.events SELECT e.event_date, $1, e.event_type, e.unit_type, e.unit_id, e.experiments, e.context, e.metrics,
       e.payload, e.event_time, e.created_at, e.producer, NULL, e.source_topic, e.source_partition, 99 FROM exp.events e LIMIT 1`,
    [randomUUID()],
  );
  const { problems } = await verify();
  expect(problems.map(({ kind }) => kind)).toEqual(['missing-in-postgres', 'missing-in-archive']);
  expect(problems[0]!.text).toContain(eventId);
  // What the other group has not read yet is not missing.
  await query('UPDATE exp.consumer_offsets SET next_offset = 0 WHERE consumer_group = $1', [
    cluster.groupName('postgres-sink'),
  ]);
  expect(await kindsFound()).toEqual(['missing-in-archive']);
});

it('says what is missing when no event is stored any more, and nothing of days without events', async () => {
  const quiet = await verifyArchive(cluster, { content: false, events: { from: '2025-01-01', to: '2025-02-01' } });
  expect(quiet).toMatchObject({ events: { archived: 0, stored: 0 }, problems: [] });
  await query('UPDATE exp.consumer_offsets SET next_offset = 100');
  await query('TRUNCATE exp.events');
  const { events, problems } = await verify();
  expect(events).toEqual({ archived: 199, stored: 0 });
  expect(problems).toMatchObject([{ kind: 'missing-in-postgres' }]);
  expect(problems[0]!.text).toContain('199 archived events are not in exp.events');
});
