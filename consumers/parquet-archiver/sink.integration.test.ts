// The archiver against real Kafka, Postgres and S3, judged by DuckDB and pyarrow, which did not take part.
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readEventsSql } from '#domain/archive/archive-layout.ts';
import { createEventParser } from '#domain/event/decode-event.ts';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import { OwnershipLostError } from '#platform/kafka/postgres-offsets.ts';
import type { Batch } from '#platform/kafka/sink.ts';
import { createObjectStore, type ObjectStore } from '#platform/object-store/object-store.ts';
import { inTransaction } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { topics } from '#schemas/topics.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { startTestMember, type TestMember } from '#tests/support/member.ts';
import { until } from '#tests/support/poll.ts';
import { pythonWith, runPython } from '#tests/support/python-venv.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { createManifest } from './manifest.ts';
import { createParquetWriter, type ParquetWriter, smallSegmentRows } from './parquet-writer.ts';
import { createArchiverSink } from './sink.ts';
import { toArchiveRow } from './transform.ts';

const groupId = 'parquet-archiver';
let database: TestDatabase;
let kafka: TestTopics;
let objectStore: ObjectStore;
let writer: ParquetWriter;
let folder: string;
const members: TestMember[] = [];

const createSink = (topic: string) => {
  const pool = database.poolAs('parquet_archiver');
  return {
    pool,
    sink: createArchiverSink({ manifest: createManifest({ pool, topic, groupId }), objectStore, writer }),
  };
};

const startMember = async (): Promise<TestMember> => {
  const { pool, sink } = createSink(kafka.name('events'));
  const member = await startTestMember({
    namespace: kafka.namespace,
    groupId,
    topic: topics.events,
    deadLetterTopic: topics.eventsDeadLetter,
    pool,
    parse: createEventParser({ earliestMs: Date.UTC(2015, 0, 1), maxAheadMs: 3_600_000 }),
    sink,
    flush: { maxRecords: 400, maxAgeMs: 200, concurrency: 2 },
  });
  members.push(member);
  return member;
};

beforeAll(async () => {
  [database, kafka] = await Promise.all([createTestDatabase(), createTestTopics(['events', 'eventsDeadLetter'])]);
  const { objectStoreBucket, ...endpoint } = stackEndpoints().objectStore;
  objectStore = createObjectStore({ ...endpoint, bucket: objectStoreBucket });
  writer = await createParquetWriter();
  folder = await mkdtemp(join(tmpdir(), 'archive-test-'));
});

afterAll(async () => {
  await Promise.all(members.map((member) => member.stop()));
  writer.close();
  objectStore.close();
  await kafka.drop();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

type Downloaded = { path: string; rows: bigint };

async function downloadCommitted(): Promise<Downloaded[]> {
  const manifest = await database.pool.query<{ object_key: string; row_count: bigint }>(
    `SELECT object_key, row_count FROM exp.archive_manifest WHERE status = 'committed' AND row_count > 0 ORDER BY id`,
  );
  return Promise.all(
    manifest.rows.map(async ({ object_key, row_count }, index) => {
      const path = join(folder, `${index}.parquet`);
      await writeFile(path, await objectStore.get(object_key));
      return { path, rows: row_count };
    }),
  );
}

async function queryDuckDb(sql: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const result = await connection.runAndReadAll(sql);
  const rows = result.getRowObjectsJson();
  connection.closeSync();
  instance.closeSync();
  return rows as Record<string, unknown>[];
}

const readWithPyarrow = `
import json, sys, pyarrow.parquet as pq
out = []
for path in json.load(sys.stdin):
    for row in pq.read_table(path).to_pylist():
        row['event_time'] = row['event_time'].isoformat()
        out.append([row['event_date'].isoformat(), row['event_id'], row['unit_id'], row['experiments'], row['context'], row['metrics'],
                    row['payload'], row['event_time'].replace('+00:00', ''), row['kafka_partition'], row['kafka_offset']])
print(json.dumps(out))
`;

describe('parquet-archiver', () => {
  it('archives every record once per offset, readable by DuckDB and pyarrow, with two members and bad records between', async () => {
    await startMember();
    const odd = sampleEvent({
      unit_id: 'tab\tünï 🎯 "quoted"',
      context: { text: 'a\nb', number: -0.5, nothing: null },
      payload: '{"x":[1,null,"\\u00e9"]}',
      event_time: Date.UTC(2019, 10, 24, 23, 59, 59, 999),
    });
    const events = [
      odd,
      ...Array.from({ length: 5_000 }, (_, index) =>
        sampleEvent({ unit_id: `unit-${index % 50}`, metrics: { value: index / 7 } }),
      ),
    ];
    const repeated = events.slice(0, 300);
    const encode = await kafka.encoder<EventRecord>('events');
    const toRecord = (event: EventRecord) => ({ key: eventKeyOf(event), value: encode(event) });
    const producer = kafka.producer();
    await producer.send(kafka.name('events'), events.slice(0, 3_000).map(toRecord));
    await producer.send(kafka.name('events'), [{ key: 'a', value: Buffer.from('not avro') }]);
    await startMember();
    await producer.send(kafka.name('events'), events.slice(3_000).map(toRecord));
    await producer.send(kafka.name('events'), repeated.map(toRecord));
    const total = BigInt(events.length + repeated.length + 1);
    await until('every offset committed', async () => {
      const found = await database.pool.query<{ sum: bigint }>(
        'SELECT coalesce(sum(next_offset), 0)::bigint AS sum FROM exp.consumer_offsets',
      );
      return members.some(({ failures }) => failures.length > 0) || found.rows[0]!.sum === total;
    });
    for (const { failures } of members) expect(failures).toEqual([]);

    const ranges = await database.pool.query<{ gaps: bigint; rows: bigint; bad: bigint }>(
      `SELECT count(*) FILTER (WHERE first_offset <> expected) AS gaps, sum(row_count)::bigint AS rows, sum(dead_lettered_count)::bigint AS bad
       FROM (SELECT *, coalesce(lag(last_offset) OVER (PARTITION BY kafka_partition ORDER BY first_offset) + 1, 0) AS expected
             FROM exp.archive_manifest) m`,
    );
    expect(ranges.rows[0]).toEqual({ gaps: 0n, rows: total - 1n, bad: 1n });

    const files = await downloadCommitted();
    const sizes = new Set(files.map(({ rows }) => rows <= BigInt(smallSegmentRows)));
    expect(sizes, 'both writers took part').toEqual(new Set([true, false]));
    const fromDuckDb = await queryDuckDb(readEventsSql(files.map(({ path }) => path)));
    expect(fromDuckDb.length).toBe(events.length);
    const byId = new Map(fromDuckDb.map((row) => [row.event_id, row]));
    expect(byId.get(odd.event_id)).toMatchObject({
      event_date: '2019-11-24',
      unit_id: odd.unit_id,
      context: JSON.stringify(odd.context),
      payload: odd.payload,
      event_time: '2019-11-24 23:59:59.999',
    });
    for (const event of events) expect(byId.get(event.event_id)?.metrics).toBe(JSON.stringify(event.metrics));

    const python = await pythonWith('requirements-parquet.txt');
    const columns =
      'event_date, event_id, unit_id, experiments, context, metrics, payload, event_time, kafka_partition, kafka_offset';
    const [fromPyarrow, everyRow] = await Promise.all([
      runPython<(string | number | null)[][]>(
        python,
        readWithPyarrow,
        files.map(({ path }) => path),
      ),
      queryDuckDb(`SELECT ${columns} FROM read_parquet([${files.map(({ path }) => `'${path}'`).join(', ')}])`),
    ]);
    const sortKey = (row: readonly unknown[]): string => `${row[8]}:${String(row[9]).padStart(20, '0')}`;
    const normalize = (row: readonly unknown[]): string =>
      JSON.stringify(
        row.map((value, index) =>
          index === 7 ? Date.parse(`${String(value).replace(' ', 'T')}Z`) : index === 9 ? String(value) : value,
        ),
      );
    const sorted = (rows: readonly (readonly unknown[])[]): string[] =>
      rows.toSorted((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1)).map(normalize);
    expect(BigInt(fromPyarrow.length)).toBe(total - 1n);
    expect(sorted(fromPyarrow)).toEqual(sorted(everyRow.map((row) => Object.values(row))));
  });

  it('finishes the claimed range of an owner that died between upload and commit, with the same object', async () => {
    const topic = `crash-${randomUUID()}`;
    const batch = (from: number, to: number): Batch<EventRecord> => ({
      topic,
      partition: 3,
      firstOffset: BigInt(from),
      nextOffset: BigInt(to),
      rejected: [],
      records: Array.from({ length: to - from }, (_, index) => ({
        record: {
          topic,
          partition: 3,
          offset: BigInt(from + index),
          key: null,
          value: null,
          headers: {},
          timestampMs: Date.UTC(2026, 0, 1, 5),
        },
        value: sampleEvent({ event_id: `0b0e8a4e-0000-4000-8000-${String(from + index).padStart(12, '0')}` }),
      })),
    });
    const first = createSink(topic);
    await first.sink.prepare!(batch(0, 700));
    const objects = await objectStore.list('events/dt=2026-01-01/hour=05/');
    const mine = objects.filter(({ objectKey }) => objectKey.includes(topic));
    expect(mine).toHaveLength(1);

    const second = createSink(topic);
    expect(await second.sink.pinnedEnd!(3, 0n)).toBe(700n);
    await expect(second.sink.prepare!(batch(0, 500))).rejects.toBeInstanceOf(OwnershipLostError);
    const prepared = await second.sink.prepare!(batch(0, 700));
    await inTransaction(second.pool, (tx) => second.sink.write(tx, batch(0, 700), prepared));
    const after = (await objectStore.list('events/dt=2026-01-01/hour=05/')).filter(({ objectKey }) =>
      objectKey.includes(topic),
    );
    expect(after.map(({ objectKey, etag }) => [objectKey, etag])).toEqual(
      mine.map(({ objectKey, etag }) => [objectKey, etag]),
    );
    expect(await second.sink.pinnedEnd!(3, 700n)).toBeNull();

    // The one believed dead comes back late: it can neither commit nor claim what is done.
    await expect(
      inTransaction(first.pool, (tx) => first.sink.write(tx, batch(0, 700), prepared)),
    ).rejects.toBeInstanceOf(OwnershipLostError);
    await expect(first.sink.prepare!(batch(0, 700))).rejects.toBeInstanceOf(OwnershipLostError);
    await expect(first.sink.prepare!(batch(710, 720))).rejects.toThrow('ends at offset 699');
  });

  it('gives the same bytes for the same rows', async () => {
    for (const count of [1, smallSegmentRows, smallSegmentRows + 1, 3_000]) {
      const rows = Array.from({ length: count }, (_, index) =>
        toArchiveRow({
          record: {
            topic: 't',
            partition: 0,
            offset: BigInt(index),
            key: null,
            value: null,
            headers: {},
            timestampMs: 1,
          },
          value: sampleEvent({
            event_id: `0b0e8a4e-0000-4000-8000-${String(index).padStart(12, '0')}`,
            payload: index % 2 === 0 ? null : '{}',
          }),
        }),
      );
      const [first, second] = [await writer.write(rows, count), await writer.write(rows, count)];
      expect(first.equals(second)).toBe(true);
    }
  });
});
