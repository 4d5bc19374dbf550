// Compaction on real Postgres and S3, judged by DuckDB and pyarrow: same events, one sorted file per hour, erased units gone.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseRanges } from '#domain/archive/archived-ranges.ts';
import { hashUnit } from '#domain/archive/erased-units.ts';
import { objectStoreEnvironment } from '#infra/system/environment.ts';
import { createObjectStore, type ObjectStore } from '#platform/object-store/object-store.ts';
import { openScratchDatabase } from '#platform/parquet/scratch-database.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { inNamespace, topics } from '#schemas/topics.ts';
import { type ArchivedSegment, archiveSegments } from '#tests/support/archive.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { until } from '#tests/support/poll.ts';
import { pythonWith, runPython } from '#tests/support/python-venv.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { readArchive } from '#tests/support/stored-events.ts';
import { type CompactionDeps, compactArchive, findCompactionWork } from './compact-archive.ts';
import { claimFile, listClosedHours, SwapLostError, swapFile } from './manifest.ts';
import { listFiles } from './write-compacted.ts';

const erasureKey = 'a-key-of-tests-only-with-32-characters-or-more';
const namespace = `compaction-${randomUUID()}`;
const hourMs = 3_600_000;
const anHour = Date.UTC(2026, 0, 5, 3);
let database: TestDatabase;
let objectStore: ObjectStore;
let deps: CompactionDeps;

beforeAll(async () => {
  database = await createTestDatabase();
  const { objectStoreBucket, ...endpoint } = stackEndpoints().objectStore;
  objectStore = createObjectStore({ ...endpoint, bucket: objectStoreBucket });
  deps = {
    pool: database.poolAs('parquet_archiver'),
    objectStore,
    topic: inNamespace(topics.events.name, namespace),
    erasureKey,
    settleMs: 0,
    graceMs: 3_600_000,
    maxRows: 1_000_000,
    maxBytes: 100_000_000,
    retentionDays: undefined,
  };
});

afterAll(async () => {
  for (const { objectKey } of await listOwnObjects()) await objectStore.delete(objectKey);
  objectStore.close();
  await database.drop();
});

const archive = (segments: readonly ArchivedSegment[]): Promise<void> =>
  archiveSegments({ ...deps, objectStore }, segments);
const listOwnObjects = async () =>
  (await objectStore.list('events/')).filter(({ objectKey }) => objectKey.includes(`/${deps.topic}+`));
const listCommitted = async () =>
  (
    await database.pool.query<{ object_key: string; kind: string; row_count: bigint; duplicate_count: bigint }>(
      `SELECT object_key, kind, row_count, duplicate_count FROM exp.archive_manifest
       WHERE status = 'committed' AND row_count > 0 ORDER BY dt, hour, id`,
    )
  ).rows;

/** Events of some units whose times are anywhere, so that sorting has something to do. */
const eventsOf = (count: number, change: Partial<EventRecord> = {}): EventRecord[] =>
  Array.from({ length: count }, (_, index) =>
    sampleEvent({
      unit_id: `unit-${index % 20}`,
      event_time: Date.UTC(2026, 0, 1) + ((index * 7_919) % 86_400) * 1_000,
      payload: index % 3 === 0 ? '{"note":"ünï"}' : null,
      ...change,
    }),
  );

async function withFiles<T>(
  objectKeys: readonly string[],
  work: (paths: string[], query: (sql: string) => Promise<unknown[][]>) => Promise<T>,
): Promise<T> {
  await using scratch = await openScratchDatabase();
  const paths: string[] = [];
  for (const [index, objectKey] of objectKeys.entries()) {
    const path = join(scratch.folder, `${index}.parquet`);
    await writeFile(path, await objectStore.get(objectKey));
    paths.push(path);
  }
  return await work(paths, async (sql) => (await scratch.connection.runAndReadAll(sql)).getRowsJson() as unknown[][]);
}

const readWithPyarrow = `
import json, sys, pyarrow.parquet as pq
path = json.load(sys.stdin)
file = pq.ParquetFile(path)
columns = {file.metadata.row_group(0).column(i).path_in_schema: file.metadata.row_group(0).column(i) for i in range(file.metadata.num_columns)}
table = file.read()
print(json.dumps({
    'rows': table.num_rows,
    'ids': sorted(table.column('event_id').to_pylist()),
    'times': [t.timestamp() for t in table.column('event_time').to_pylist()],
    'compression': sorted({c.compression for c in columns.values()}),
    'statistics': all(c.statistics is not None and c.statistics.has_min_max for n, c in columns.items() if n in ('event_time', 'append_time', 'unit_id', 'kafka_offset')),
    'metadata': {k.decode(): v.decode() for k, v in (file.schema_arrow.metadata or file.metadata.metadata).items() if k.startswith(b'trialstream')},
}))
`;

describe('compaction', () => {
  it('makes one sorted file with statistics of an hour, every event once, and finds nothing to do the second time', async () => {
    const events = eventsOf(900);
    const again = { ...events[3]!, ingest_time: events[3]!.ingest_time + 5 };
    await archive([
      { partition: 0, firstOffset: 0n, appendTimeMs: anHour, events: events.slice(0, 300) },
      { partition: 0, firstOffset: 300n, appendTimeMs: anHour + 60_000, events: [again, ...events.slice(300, 310)] },
      { partition: 0, firstOffset: 311n, appendTimeMs: anHour + 70_000, events: [], deadLettered: 4 },
      {
        partition: 5,
        firstOffset: 40n,
        appendTimeMs: anHour + 10_000,
        events: [...events.slice(310), again],
        deadLettered: 1,
      },
    ]);
    const before = await readArchive(database.pool, objectStore);
    expect(before.events).toHaveLength(900);

    expect((await findCompactionWork(deps)).units).toHaveLength(1);
    const report = await compactArchive(deps);
    expect(report).toMatchObject({ hours: 1, files: 1, replacedObjects: 3, rows: 900, duplicates: 2, complete: true });
    const after = await readArchive(database.pool, objectStore);
    expect(after).toEqual({ events: before.events, records: 900, repeatedPositions: 0 });
    const committed = await listCommitted();
    expect(committed).toMatchObject([{ kind: 'compacted', row_count: 900n, duplicate_count: 2n }]);

    const oldKeys = (await listOwnObjects())
      .map(({ objectKey }) => objectKey)
      .filter((key) => !key.includes('compacted'));
    expect(oldKeys, 'readers that have begun still find what was replaced').toHaveLength(3);
    await withFiles([committed[0]!.object_key, ...oldKeys], async ([path, ...old], query) => {
      const columns = (file: string) =>
        query(`SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet('${file}'))`);
      for (const file of old) expect(await columns(path!)).toEqual(await columns(file));
      const kept = `SELECT * EXCLUDE (winner) FROM (SELECT *, row_number() OVER (PARTITION BY event_date, event_id ORDER BY kafka_partition, kafka_offset) AS winner
        FROM read_parquet(${listFiles(old)})) WHERE winner = 1`;
      expect(await query(`(${kept}) EXCEPT SELECT * FROM read_parquet('${path}')`)).toEqual([]);
      const fromPyarrow = await runPython<Record<string, unknown>>(
        await pythonWith('requirements-parquet.txt'),
        readWithPyarrow,
        path,
      );
      expect(fromPyarrow).toMatchObject({
        rows: 900,
        compression: ['ZSTD'],
        statistics: true,
        ids: events.map(({ event_id }) => event_id).sort(),
      });
      const times = fromPyarrow.times as number[];
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      const metadata = fromPyarrow.metadata as Record<string, string>;
      expect(metadata['trialstream.topic']).toBe(deps.topic);
      expect(parseRanges(metadata['trialstream.ranges']!)).toEqual([
        { partition: 0, firstOffset: 0n, lastOffset: 314n, rowCount: 311, deadLetteredCount: 4 },
        { partition: 5, firstOffset: 40n, lastOffset: 631n, rowCount: 591, deadLetteredCount: 1 },
      ]);
    });

    expect(await compactArchive(deps)).toMatchObject({ hours: 0, files: 0, removedObjects: 0 });
    const cleared = await compactArchive({ ...deps, graceMs: 0 });
    expect(cleared).toMatchObject({ files: 0, removedObjects: 4 });
    expect((await listOwnObjects()).map(({ objectKey }) => objectKey)).toEqual([committed[0]!.object_key]);
  });

  it('takes in segments that come late, and leaves hours alone that have not ended', async () => {
    const late = eventsOf(7);
    const current = Date.now();
    await archive([
      { partition: 0, firstOffset: 315n, appendTimeMs: anHour + 80_000, events: late },
      { partition: 7, firstOffset: 0n, appendTimeMs: current, events: eventsOf(3) },
    ]);
    const before = await readArchive(database.pool, objectStore);
    expect(await compactArchive(deps)).toMatchObject({ hours: 1, files: 1, replacedObjects: 2, rows: 907 });
    expect((await readArchive(database.pool, objectStore)).events).toEqual(before.events);
    expect((await listCommitted()).map(({ kind }) => kind)).toEqual(['compacted', 'segment']);
  });

  it('writes files again that hold a unit erased since, and no others', async () => {
    const otherHour = anHour + hourMs;
    await archive([
      { partition: 5, firstOffset: 632n, appendTimeMs: otherHour, events: eventsOf(5, { unit_id: 'stays' }) },
    ]);
    await compactArchive(deps);
    const [first, second] = await listCommitted();
    await database.pool.query('SELECT exp.claim_erasure_key($1)', [Buffer.alloc(1)]);
    await database.pool.query('SELECT exp.erase_unit($1, $2, $3, $4, $5)', [
      'user',
      'unit-3',
      hashUnit(erasureKey, 'user', 'unit-3'),
      'erased-one',
      'tester',
    ]);
    const before = await readArchive(database.pool, objectStore);
    const report = await compactArchive({ ...deps, graceMs: 0 });
    expect(report).toMatchObject({ files: 1, erasedUnits: 1, duplicates: 0 });
    expect((await readArchive(database.pool, objectStore)).events).toEqual(before.events);
    const committed = await listCommitted();
    expect(committed.map(({ object_key }) => object_key)).toContain(second!.object_key);
    expect(committed.map(({ object_key }) => object_key)).not.toContain(first!.object_key);
    const keys = (await listOwnObjects()).map(({ objectKey }) => objectKey);
    await withFiles(keys, async (paths, query) => {
      const closed = `read_parquet(${listFiles(paths)}) WHERE append_time < TIMESTAMP '2026-01-06'`;
      expect(await query(`SELECT count(*)::INT FROM ${closed} AND unit_id = 'unit-3'`)).toEqual([[0]]);
      expect(
        await query(
          `SELECT count(*)::INT, count(payload)::INT, min(context), max(context) FROM ${closed} AND unit_id = 'erased-one'`,
        ),
      ).toEqual([[46, 0, '{}', '{}']]);
    });
    expect(await compactArchive(deps), 'what was looked at is not looked at again').toMatchObject({ files: 0 });
    await expect(compactArchive({ ...deps, erasureKey: `${erasureKey}x` })).rejects.toThrow('ERASURE_KEY');
  });

  it('splits an hour that is too large for one file', async () => {
    const segments = Array.from({ length: 6 }, (_, index) => ({
      partition: 2,
      firstOffset: BigInt(index * 100),
      appendTimeMs: anHour + 5 * hourMs,
      events: eventsOf(100),
    }));
    await archive(segments);
    expect(await compactArchive({ ...deps, maxRows: 250 })).toMatchObject({ hours: 1, files: 3, rows: 600 });
    const files = (await listCommitted()).filter(({ row_count }) => row_count === 200n);
    expect(files).toHaveLength(3);
  });

  it('can be killed at any moment: the next one finishes, and nothing is lost, doubled or left over', async () => {
    const hours = Array.from({ length: 4 }, (_, index) => ({
      partition: 3,
      firstOffset: BigInt(index * 400),
      appendTimeMs: anHour + (10 + index) * hourMs,
      events: eventsOf(400),
    }));
    await archive(hours);
    const before = await readArchive(database.pool, objectStore);
    const child = spawn(process.execPath, ['workers/compaction/main.ts'], {
      env: {
        PATH: process.env.PATH,
        ...objectStoreEnvironment(stackEndpoints()),
        POSTGRES_URL: database.urlAs('parquet_archiver'),
        KAFKA_NAMESPACE: namespace,
        ERASURE_KEY: erasureKey,
        COMPACTION_SETTLE_MS: '0',
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    // The first finished file: the second one is under way.
    await once(child.stderr, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect((await readArchive(database.pool, objectStore)).events).toEqual(before.events);

    // The same again at the worst moment, by hand: claimed and uploaded, not swapped.
    const rows = (await listClosedHours(deps.pool, deps.topic, 0)).filter(({ partition }) => partition === 3);
    const file = {
      objectKey: `events/dt=2026-01-05/hour=13/${deps.topic}+compacted+dead.parquet`,
      dt: '2026-01-05',
      hour: 13,
      inputs: rows,
      erasedUntil: new Date(),
    };
    const claimId = await claimFile(deps.pool, deps.topic, file);
    await objectStore.put(file.objectKey, Buffer.from('half a file'));
    expect((await readArchive(database.pool, objectStore)).events, 'a claim is not read').toEqual(before.events);

    const report = await until('the lock of the killed process', () => compactArchive(deps));
    expect(report.files).toBeGreaterThan(0);
    expect(report.files).toBeLessThan(4);
    expect((await readArchive(database.pool, objectStore)).events).toEqual(before.events);
    expect(await objectStore.find(file.objectKey)).toBeNull();
    const facts = {
      sha256: 'x',
      rowCount: 1,
      eventTime: { min: new Date(), max: new Date() },
      appendTime: { min: new Date(), max: new Date() },
      sizeBytes: 1,
    };
    await expect(swapFile(deps.pool, claimId, file, facts), 'the one believed dead comes back').rejects.toBeInstanceOf(
      SwapLostError,
    );
    expect((await readArchive(database.pool, objectStore)).events).toEqual(before.events);
  });

  it('expires old days by policy and keeps their ranges on record', async () => {
    const ranges = async () =>
      (
        await database.pool.query(
          `SELECT kafka_partition, first_offset, last_offset FROM exp.archive_manifest WHERE kind = 'segment' ORDER BY 1, 2`,
        )
      ).rows;
    const before = await ranges();
    const report = await compactArchive({ ...deps, retentionDays: 30, graceMs: 0 });
    expect(report.expiredObjects).toBeGreaterThan(0);
    expect(
      (await listCommitted()).map(({ kind }) => kind),
      'only the present hour is younger',
    ).toEqual(['segment']);
    expect(await listOwnObjects()).toHaveLength(1);
    expect(await ranges()).toEqual(before);
  });
});
