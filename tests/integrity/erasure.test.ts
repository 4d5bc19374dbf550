// Promise: an erased unit is nowhere in Postgres under its id, also after late events and a replay of the whole topic.
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { ConfigResourceTypes } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sampleFeedbackPayload, sampleGeneratedPayload, samplePlanEvent } from '#domain/dataset/dataset-samples.ts';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import { waitUntilCaughtUp } from '#infra/system/caught-up.ts';
import { createAvroDecoder } from '#platform/kafka/avro-codec.ts';
import { createAssignmentOutbox } from '#producers/assignment-publisher/assignment-outbox.ts';
import type { DeadLetterRecord, EventRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { inNamespace } from '#schemas/topics.ts';
import { until } from '#tests/support/poll.ts';
import { createExperiment } from '#tests/support/service-client.ts';
import { compareWithRecount } from '#tests/support/stored-events.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';

const leaver = '1eaf1eaf-0000-4000-8000-00000000dead';
const stayer = '57a757a7-0000-4000-8000-000000000001';
const replayed = ['postgres-sink', 'metrics-aggregator', 'dataset-builder'] as const;

let run: TestSystem;
let experimentId: string;
const variantOf = new Map<string, string>();

beforeAll(async () => {
  run = await startTestSystem({
    'assignment-service': 1,
    'postgres-sink': 1,
    'parquet-archiver': 1,
    'metrics-aggregator': 1,
    'dataset-builder': 1,
  });
});
afterAll(async () => {
  await run?.stop();
});

async function post(path: string, body: object): Promise<Record<string, unknown>> {
  const response = await fetch(`${run.system.process('assignment-service').url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${run.access.adminKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  expect(response.status, JSON.stringify(answer)).toBe(200);
  return answer;
}

/** What a household does: a purchase before its exposure, one after it, a plan and the reaction to it. Each speaks of the unit. */
function eventsOf(unitId: string, minute: number): EventRecord[] {
  const at = (offset: number): number => Date.UTC(2026, 0, 4, 10, minute + offset);
  const planId = randomUUID();
  const generated = sampleGeneratedPayload(planId);
  const shared = {
    unit_id: unitId,
    experiments: [{ experiment_id: experimentId, variant_id: variantOf.get(unitId)! }],
    context: { account: unitId },
  };
  const request = { ...generated.request, household: { ...generated.request.household, household_id: unitId } };
  const event = (
    type: string,
    offset: number,
    metrics: Record<string, number>,
    payload: object | null = null,
  ): EventRecord => ({
    ...samplePlanEvent('plan_accepted', payload, { event_id: randomUUID() }),
    ...shared,
    event_type: type,
    metrics,
    event_time: at(offset),
  });
  return [
    event('purchase', 0, { revenue: 7 }),
    event('exposure', 1, {}),
    event('purchase', 2, { revenue: 2.5 }),
    event('plan_generated', 3, {}, { ...generated, request }),
    event('plan_accepted', 4, {}, sampleFeedbackPayload(planId)),
  ];
}

async function send(events: readonly EventRecord[]): Promise<void> {
  const encode = await run.topics.encoder<EventRecord>('events');
  await run.topics.producer().send(
    run.topics.name('events'),
    events.map((event) => ({ key: eventKeyOf(event), value: encode(event) })),
  );
}

const caughtUp = (): Promise<void> =>
  waitUntilCaughtUp({ kafka: run.topics.kafka, pool: run.database.pool, namespace: run.topics.namespace });

/** Every table of the database, tables of a day by their parent's name, that holds the text in any column of any row. */
async function tablesHolding(text: string): Promise<string[]> {
  const { rows } = await run.database.pool.query<{ name: string }>(
    `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname IN ('exp', 'public') AND c.relkind = 'r'`,
  );
  const holding = new Set<string>();
  for (const { name } of rows) {
    const found = await run.database.pool.query(`SELECT 1 FROM ${name} AS entry WHERE entry::text LIKE $1 LIMIT 1`, [
      `%${text}%`,
    ]);
    if (found.rowCount !== 0) holding.add(name.replace(/_\d{8}$/, ''));
  }
  return [...holding].sort();
}

/** Number of archived records since a time that hold the text, and of all of them. */
async function countArchived(text: string, since: Date): Promise<{ holding: number; all: number }> {
  const manifest = await run.database.pool.query<{ object_key: string }>(
    `SELECT object_key FROM exp.archive_manifest WHERE status = 'committed' AND row_count > 0 AND claimed_at > $1`,
    [since],
  );
  const folder = await mkdtemp(join(tmpdir(), 'trialstream-erasure-'));
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    const files: string[] = [];
    for (const { object_key } of manifest.rows) {
      const file = join(folder, `${files.length}.parquet`);
      await writeFile(file, await run.objectStore.get(object_key));
      files.push(`'${file}'`);
    }
    const reader = await connection.runAndReadAll(
      `SELECT count(*) FILTER (concat_ws(' ', unit_id, context, payload) LIKE '%${text}%')::INTEGER AS holding,
         count(*)::INTEGER AS rows FROM read_parquet([${files.join(', ')}])`,
    );
    const [row] = reader.getRowObjectsJS();
    return { holding: Number(row!.holding), all: Number(row!.rows) };
  } finally {
    connection.closeSync();
    instance.closeSync();
    await rm(folder, { recursive: true, force: true });
  }
}

async function readDeadLetters(): Promise<DeadLetterRecord[]> {
  const decoder = createAvroDecoder<DeadLetterRecord>({
    registry: run.topics.registry,
    readerSchema: loadRecordSchema('deadLetter'),
    parse: (value) => ({ ok: true, value: value as DeadLetterRecord }),
    maxValueBytes: 4_194_304,
  });
  const records = (await run.topics.readAll('eventsDeadLetter')).map((record) => ({
    ...record,
    topic: run.topics.name('eventsDeadLetter'),
    headers: {},
  }));
  await decoder.prepare(records);
  return records.map((record) => {
    const decoded = decoder.decode(record);
    if (!decoded.ok) throw new Error(decoded.rejection.error);
    return decoded.value;
  });
}

const metricsOf = async (unitId: string) =>
  (
    await run.database.pool.query(
      'SELECT metric_name, count, sum, min, max FROM exp.unit_metrics WHERE unit_id = $1 ORDER BY 1',
      [unitId],
    )
  ).rows;

test('erase, late events, conflicting events, a replay from the start: the id does not come back', async () => {
  const experiment = await createExperiment(run, { key: 'erasure', unit_type: 'household', exposure: 'explicit' });
  experimentId = experiment.experiment_id;
  for (const unitId of [leaver, stayer]) {
    const answer = (await post('/v1/assignments', { unit_type: 'household', unit_id: unitId })) as {
      assignments: { variant_id: string }[];
    };
    variantOf.set(unitId, answer.assignments[0]!.variant_id);
    for (const statement of [
      `INSERT INTO exp.households (household_id, valid_from, members) VALUES ($1, '2026-01-01', 2)`,
      `INSERT INTO exp.pantry_items (household_id, item, valid_from) VALUES ($1, 'rice', '2026-01-01')`,
      `INSERT INTO exp.constraints (household_id, kind, value, valid_from) VALUES ($1, 'diet', 'vegan', '2026-01-01')`,
      `INSERT INTO exp.plans (plan_id, household_id, valid_from, status, plan)
       VALUES (gen_random_uuid(), $1, '2026-01-01', 'generated', '{}')`,
    ])
      await run.database.pool.query(statement, [unitId]);
  }
  const early = [...eventsOf(leaver, 0), ...eventsOf(stayer, 0)];
  await send(early);
  await caughtUp();
  // Otherwise a search that finds nothing would mean nothing.
  const holdingBefore = await tablesHolding(stayer);
  expect(await tablesHolding(leaver)).toEqual(holdingBefore);
  expect(holdingBefore).toEqual(
    [
      'assignment_outbox',
      'assignments',
      'constraints',
      'events',
      'first_exposures',
      'households',
      'pantry_items',
      'plans',
      'training_rows',
      'unit_daily_metrics',
      'unit_metrics',
      'unit_pending_metrics',
    ].map((table) => `exp.${table}`),
  );

  const erasure = (await post('/v1/units/erase', { unit_type: 'household', unit_id: leaver })) as {
    pseudonym: string;
  };
  expect(erasure).toMatchObject({ assignments: 1, events: 5, domain_rows: 5 });
  expect(await tablesHolding(leaver)).toEqual(['exp.assignment_outbox']);
  const erasedAt = (await run.database.pool.query<{ at: Date }>('SELECT clock_timestamp() AS at')).rows[0]!.at;

  const late = [...eventsOf(leaver, 30), ...eventsOf(stayer, 30)];
  const conflicting = [early[2]!, early[7]!].map((event) => ({ ...event, metrics: { revenue: 99 } }));
  await send([...late, ...early, ...conflicting]);
  await caughtUp();
  for (const group of replayed) await Promise.all(run.replicas(group).map((member) => member.stop()));
  await run.database.pool.query(
    'UPDATE exp.consumer_offsets SET next_offset = 0 WHERE consumer_group = ANY ($1::text[])',
    [replayed.map((group) => inNamespace(group, run.topics.namespace))],
  );
  for (const group of replayed) await Promise.all(run.replicas(group).map((member) => member.start()));
  await caughtUp();
  expect(run.unexpectedEnds).toEqual([]);

  // Postgres: only the outbox, which has to tell the topic, and forgets minutes later.
  expect(await tablesHolding(leaver)).toEqual(['exp.assignment_outbox']);
  await run.database.pool.query(`UPDATE exp.assignment_outbox SET published_at = published_at - interval '11 minutes'`);
  const outbox = createAssignmentOutbox({ topic: 'unused', encoder: () => Promise.reject(new Error('unused')) });
  await outbox.purge(run.database.pool, 1_000);
  expect(await tablesHolding(leaver)).toEqual([]);
  expect(await tablesHolding(stayer)).toEqual(holdingBefore);

  // What was measured is all there, under the pseudonym, as much as of the unit that did the same and stayed.
  const events = await run.database.pool.query<{ unit_id: string; count: bigint }>(
    'SELECT unit_id, count(*) FROM exp.events GROUP BY 1',
  );
  expect(new Map(events.rows.map((row) => [row.unit_id, Number(row.count)]))).toEqual(
    new Map([
      [erasure.pseudonym, 10],
      [stayer, 10],
    ]),
  );
  expect(await metricsOf(erasure.pseudonym)).toEqual(await metricsOf(stayer));
  expect(await metricsOf(stayer)).toMatchObject([{ metric_name: 'revenue', count: 3n }]);
  for (const [table, { different }] of Object.entries(await compareWithRecount(run.database.pool))) {
    expect(different, table).toEqual([]);
  }

  // The archive: what was written since does not hold the id; older objects do until compaction rewrites them.
  const archived = await countArchived(leaver, erasedAt);
  expect(archived.all).toBeGreaterThan(0);
  expect(archived.holding).toBe(0);

  // Dead letters of the erased unit are without the record; others keep it.
  const conflicts = (await readDeadLetters()).filter(({ reason }) => reason === 'conflict');
  expect(new Set(conflicts.map(({ event_id: id }) => id))).toEqual(new Set(conflicting.map(({ event_id: id }) => id)));
  for (const letter of conflicts) {
    const isOfLeaver = letter.event_id === conflicting[0]!.event_id;
    expect([letter.key === null, letter.value === null]).toEqual([isOfLeaver, isOfLeaver]);
    expect(JSON.stringify(letter)).not.toContain(leaver);
  }

  // The compacted topic ends with a tombstone, and compaction removes what came before it. The topic of events holds the id until
  // its retention has passed: nothing can take single records out of it.
  const keyOf = (unitId: string): string => `${experimentId}:${unitId}`;
  const lastOf = async (unitId: string) =>
    (await run.topics.readAll('assignments')).findLast(({ key }) => key?.toString() === keyOf(unitId));
  expect((await lastOf(leaver))?.value).toBeNull();
  expect((await lastOf(stayer))?.value).not.toBeNull();
  await compactSoon('assignments');
  await until(
    'compaction has removed the record with the id',
    async () => {
      const records = (await run.topics.readAll('assignments')).filter(({ key }) => key?.toString() === keyOf(leaver));
      return records.every(({ value }) => value === null);
    },
    { deadlineMs: 120_000, intervalMs: 1_000 },
  );
});

test('every table that names units is one that erasure knows', async () => {
  const { rows } = await run.database.pool.query<{ place: string }>(
    `SELECT table_name || '.' || column_name AS place FROM information_schema.columns
     JOIN information_schema.tables USING (table_schema, table_name)
     WHERE table_schema = 'exp' AND table_type = 'BASE TABLE' AND column_name IN ('unit_id', 'anonymous_unit_id', 'household_id')
       AND table_name !~ '_[0-9]{8}$' ORDER BY 1`,
  );
  // A new one must be handled by exp.erase_unit in a migration before it is added here.
  expect(rows.map(({ place }) => place)).toEqual([
    'assignment_outbox.unit_id',
    'assignments.unit_id',
    'constraints.household_id',
    'events.unit_id',
    'excluded_units.unit_id',
    'first_exposures.unit_id',
    'households.household_id',
    'pantry_items.household_id',
    'plans.household_id',
    'training_rows.household_id',
    'unit_daily_metrics.unit_id',
    'unit_links.anonymous_unit_id',
    'unit_links.unit_id',
    'unit_metrics.unit_id',
    'unit_pending_metrics.unit_id',
  ]);
});

/** Makes the broker roll and compact the topic's segments at once, and gives every partition a record that starts a new segment. */
async function compactSoon(topic: 'assignments'): Promise<void> {
  const admin = run.topics.kafka.admin();
  await admin.connect();
  try {
    await admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: ConfigResourceTypes.TOPIC,
          name: run.topics.name(topic),
          configEntries: [
            { name: 'cleanup.policy', value: 'compact' },
            { name: 'segment.ms', value: '1' },
            { name: 'min.cleanable.dirty.ratio', value: '0' },
            { name: 'message.timestamp.type', value: 'LogAppendTime' },
          ],
        },
      ],
    });
  } finally {
    await admin.disconnect();
  }
  for (let index = 0; index < 60; index += 1) {
    await post('/v1/assignments', { unit_type: 'household', unit_id: `filler-${index}` });
  }
  await caughtUp();
}
