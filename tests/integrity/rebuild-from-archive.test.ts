// Promise: Postgres can be rebuilt from the archive: the same events, equal aggregates and training rows, erased units stay away.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGroupSink as createDatasetBuilderSink } from '#consumers/dataset-builder/group-sink.ts';
import { createErasedUnitLookup, withErasure } from '#consumers/erasure.ts';
import { createGroupSink as createAggregatorSink } from '#consumers/metrics-aggregator/group-sink.ts';
import { createManifest } from '#consumers/parquet-archiver/manifest.ts';
import { createParquetWriter, type ParquetWriter } from '#consumers/parquet-archiver/parquet-writer.ts';
import { createArchiverSink } from '#consumers/parquet-archiver/sink.ts';
import { createGroupSink as createPostgresSinkOfGroup } from '#consumers/postgres-sink/group-sink.ts';
import { hashUnit } from '#domain/archive/erased-units.ts';
import { sampleFeedbackPayload, sampleGeneratedPayload, samplePlanEvent } from '#domain/dataset/dataset-samples.ts';
import { createEventParser } from '#domain/event/decode-event.ts';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import { waitUntilCaughtUp } from '#infra/system/caught-up.ts';
import type { ArchiveReport } from '#ops/archive/verify-archive.ts';
import type { Sink } from '#platform/kafka/sink.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { type ConsumerGroupName, topics } from '#schemas/topics.ts';
import { createTestCluster } from '#tests/support/cluster.ts';
import { createTestDatabase, type DatabaseRole, type TestDatabase } from '#tests/support/database.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { startTestMember, type TestMember } from '#tests/support/member.ts';
import { type OpsPlace, opsEnvironment, runOpsJson } from '#tests/support/ops-command.ts';
import { until } from '#tests/support/poll.ts';
import { compareWithRecount } from '#tests/support/stored-events.ts';
import { compactArchive } from '#workers/compaction/compact-archive.ts';

const erasureKey = 'a-key-of-tests-only-with-32-characters-or-more';
const leaver = '1eaf1eaf-0000-4000-8000-00000000dead';
const groups = ['postgres-sink', 'metrics-aggregator', 'dataset-builder', 'parquet-archiver'] as const;
const experiment = { id: randomUUID(), variants: [randomUUID(), randomUUID()] as const };

let original: TestDatabase;
let rebuilt: TestDatabase;
let kafka: TestTopics;
let cluster: ReturnType<typeof createTestCluster>;
let writer: ParquetWriter;
let place: OpsPlace;
let encode: (event: EventRecord) => Buffer;
const members: TestMember[] = [];

beforeAll(async () => {
  [original, rebuilt, kafka, writer] = await Promise.all([
    createTestDatabase(),
    createTestDatabase(),
    createTestTopics(['events', 'eventsDeadLetter']),
    createParquetWriter(),
  ]);
  cluster = createTestCluster(original, kafka);
  encode = await kafka.encoder<EventRecord>('events');
  place = {
    postgresUrl: rebuilt.urlAs('operator'),
    namespace: kafka.namespace,
    erasureKey,
    settings: { FLUSH_MAX_RECORDS: '100' },
  };
  await original.pool.query(
    `INSERT INTO exp.experiments (id, key, name, unit_type, status, exposure) VALUES ($1, 'e', 'e', 'household', 'running', 'explicit')`,
    [experiment.id],
  );
  await original.pool.query(
    `INSERT INTO exp.variants (id, experiment_id, name, allocation, position)
     SELECT v, $1, v::text, 5000, p FROM unnest($2::uuid[]) WITH ORDINALITY AS t (v, p)`,
    [experiment.id, experiment.variants],
  );
});

afterAll(async () => {
  await stopMembers();
  writer.close();
  for (const { objectKey } of await cluster.objectStore.list('events/'))
    if (objectKey.includes(`/${cluster.topicName('events')}+`)) await cluster.objectStore.delete(objectKey);
  cluster.objectStore.close();
  await kafka.drop();
  await original.drop();
  await rebuilt.drop();
});

const stopMembers = async (): Promise<void> => {
  await Promise.all(members.splice(0).map((member) => member.stop()));
};

function sinkOf(group: ConsumerGroupName, pool: Pool): Sink<EventRecord, never> {
  const erasure = { key: erasureKey };
  if (group === 'postgres-sink') return createPostgresSinkOfGroup({ erasure }, pool) as Sink<EventRecord, never>;
  if (group === 'metrics-aggregator')
    return createAggregatorSink({ erasure, knownExposures: { capacity: 1_000 } }, pool) as Sink<EventRecord, never>;
  if (group === 'dataset-builder') return createDatasetBuilderSink({ erasure }, pool) as Sink<EventRecord, never>;
  const manifest = createManifest({ pool, topic: kafka.name('events'), groupId: group });
  return withErasure(createArchiverSink({ manifest, objectStore: cluster.objectStore, writer }), {
    pool,
    erasedUnits: createErasedUnitLookup(erasureKey),
    mode: 'pseudonymize',
    preparesContent: true,
  }) as Sink<EventRecord, never>;
}

async function startMembers(database: TestDatabase, wanted: readonly ConsumerGroupName[]): Promise<void> {
  for (const groupId of wanted) {
    const pool = database.poolAs(groupId.replace('-', '_') as DatabaseRole);
    members.push(
      await startTestMember({
        namespace: kafka.namespace,
        groupId,
        topic: topics.events,
        deadLetterTopic: topics.eventsDeadLetter,
        pool,
        parse: createEventParser({ earliestMs: Date.UTC(2015, 0, 1), maxAheadMs: 3_600_000 }),
        sink: sinkOf(groupId, pool),
        flush: { maxRecords: 120 },
      }),
    );
  }
}

async function send(events: readonly EventRecord[]): Promise<void> {
  await kafka.producer().send(
    kafka.name('events'),
    events.map((event) => ({ key: eventKeyOf(event), value: encode(event) })),
  );
}

/** Units with an exposure in the middle of their purchases, plans with reactions, repeats, a conflict, and what a group refuses. */
function makeEvents(): EventRecord[] {
  const events: EventRecord[] = [];
  for (let unit = 0; unit < 60; unit += 1) {
    const unitId = unit === 7 ? leaver : `household-${unit}`;
    const shared = {
      unit_type: 'household',
      unit_id: unitId,
      experiments: [{ experiment_id: experiment.id, variant_id: experiment.variants[unit % 2]! }],
      context: { account: unitId },
    };
    for (let index = 0; index < 20; index += 1) {
      const event_time = Date.UTC(2026, 0, 4, 12) + ((index * 7_919 + unit * 104_729) % 172_800) * 1_000;
      const type = index === 9 ? 'exposure' : 'purchase';
      events.push(
        sampleEvent({ ...shared, event_type: type, event_time, metrics: { revenue: index / 7, clicks: index % 3 } }),
      );
    }
    const planId = randomUUID();
    const generated = sampleGeneratedPayload(planId);
    const household = { ...generated.request.household, household_id: unitId };
    events.push(
      samplePlanEvent('plan_accepted', sampleFeedbackPayload(planId), { event_id: randomUUID(), unit_id: unitId }),
      samplePlanEvent(
        'plan_generated',
        { ...generated, request: { ...generated.request, household } },
        { event_id: randomUUID(), unit_id: unitId },
      ),
    );
  }
  const repeats = events.filter((_, index) => index % 9 === 0);
  const conflict = { ...events[0]!, metrics: { revenue: 99 } };
  const refusedByAggregator = sampleEvent({ metrics: { revenue: 1e200 } });
  return [...events, ...repeats, conflict, refusedByAggregator];
}

/** Rows of a table as text, without when they were written. */
async function readTable(pool: Pool, table: string): Promise<string[]> {
  const { rows } = await pool.query<{ row: string }>(
    `SELECT (to_jsonb(t) - 'updated_at')::text AS row FROM exp.${table} t ORDER BY 1`,
  );
  return rows.map(({ row }) => row);
}

async function copyTables(tables: readonly string[]): Promise<void> {
  for (const table of tables) {
    const { rows } = await original.pool.query<{ row: object }>(`SELECT to_jsonb(t) AS row FROM exp.${table} t`);
    await rebuilt.pool.query(
      `INSERT INTO exp.${table} SELECT * FROM jsonb_populate_recordset(NULL::exp.${table}, $1::jsonb)`,
      [JSON.stringify(rows.map(({ row }) => row))],
    );
  }
}

const caughtUp = (pool: Pool): Promise<void> =>
  waitUntilCaughtUp({ kafka: kafka.kafka, pool, namespace: kafka.namespace });

test('an empty database gets the same events, aggregates and training rows, and every group goes on from there', async () => {
  await startMembers(original, groups);
  await send(makeEvents());
  await kafka.producer().send(kafka.name('events'), [{ key: 'a', value: Buffer.from('not an event') }]);
  await caughtUp(original.pool);
  // Two thirds of the hours are over and compacted, then a unit is erased: it is in old objects, not in Postgres.
  await original.pool.query(
    `UPDATE exp.archive_manifest SET dt = dt - 2 - kafka_partition % 3 WHERE kind = 'segment' AND kafka_partition % 3 <> 0`,
  );
  const compaction = {
    pool: original.poolAs('parquet_archiver'),
    objectStore: cluster.objectStore,
    topic: kafka.name('events'),
    erasureKey,
    settleMs: 0,
    graceMs: 3_600_000,
    maxRows: 1_000_000,
    maxBytes: 1e9,
    retentionDays: undefined,
  };
  expect((await compactArchive(compaction)).files).toBe(2);
  await original.pool.query('SELECT exp.erase_unit($1, $2, $3, $4, $5)', [
    'household',
    leaver,
    hashUnit(erasureKey, 'household', leaver),
    'erased-household',
    'tester',
  ]);
  expect(members.flatMap(({ failures }) => failures)).toEqual([]);
  await stopMembers();

  await copyTables(['experiments', 'variants', 'erasures', 'erasure_key']);
  const recovered = await runOpsJson<{ segments: number; compacted: number; replaced: string[]; gaps: unknown[] }>(
    place,
    ['rebuild', 'manifest', '--from-objects'],
  );
  expect(recovered).toMatchObject({ compacted: 2, gaps: [] });
  expect(recovered.replaced.length, 'objects that compaction replaced are still there').toBeGreaterThan(0);

  // One group is killed on its way; the command goes on from where it was.
  const killed = spawn(process.execPath, ['consumers/metrics-aggregator/rebuild.ts'], {
    env: { ...opsEnvironment(place), FLUSH_MAX_RECORDS: '10', FLUSH_CONCURRENCY: '1' },
    stdio: 'ignore',
  });
  await until('its first flushes', async () => {
    const { rows } = await rebuilt.pool.query('SELECT FROM exp.event_claims LIMIT 1');
    return rows.length > 0;
  });
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  const plan = await runOpsJson<{ groups: { group: string; state: string }[]; problems: string[] }>(place, [
    'rebuild',
    'postgres',
    '--from-archive',
    '--dry-run',
  ]);
  expect(plan).toMatchObject({
    problems: [],
    groups: [{ state: 'empty' }, { group: 'metrics-aggregator', state: 'continues' }, { state: 'empty' }],
  });
  const { reports } = await runOpsJson<{ reports: { groupId: string; rejected: number }[] }>(place, [
    'rebuild',
    'postgres',
    '--from-archive',
    '--yes',
  ]);
  expect(reports).toHaveLength(3);

  expect(await readTable(rebuilt.pool, 'events')).toEqual(await readTable(original.pool, 'events'));
  for (const table of [
    'training_rows',
    'plan_reactions',
    'first_exposures',
    'unit_pending_metrics',
    'event_claims',
    'metric_aggregate_bins',
  ])
    expect(await readTable(rebuilt.pool, table), table).toEqual(await readTable(original.pool, table));
  for (const [table, { rows, different }] of Object.entries(await compareWithRecount(rebuilt.pool))) {
    expect(different, table).toEqual([]);
    expect(rows, table).toBe((await original.pool.query(`SELECT FROM exp.${table}`)).rowCount);
  }
  for (const table of ['events', 'training_rows', 'unit_metrics', 'unit_daily_metrics', 'first_exposures'])
    expect(
      (await readTable(rebuilt.pool, table)).filter((row) => row.includes(leaver)),
      table,
    ).toEqual([]);
  expect((await readTable(original.pool, 'events')).length).toBeGreaterThan(1_300);

  for (const objectKey of recovered.replaced) await cluster.objectStore.delete(objectKey);
  const verified = await runOpsJson<ArchiveReport>(place, ['archive', 'verify', '--content', '--events']);
  expect(verified.problems).toEqual([]);

  await startMembers(rebuilt, groups);
  const later = Array.from({ length: 40 }, (_, index) =>
    sampleEvent({ unit_type: 'household', unit_id: `household-${index}` }),
  );
  await send(later);
  await caughtUp(rebuilt.pool);
  expect(members.flatMap(({ failures }) => failures)).toEqual([]);
  const stored = await rebuilt.pool.query('SELECT FROM exp.events WHERE event_id = ANY ($1::uuid[])', [
    later.map(({ event_id }) => event_id),
  ]);
  expect(stored.rowCount).toBe(40);
  for (const { different } of Object.values(await compareWithRecount(rebuilt.pool))) expect(different).toEqual([]);
});
