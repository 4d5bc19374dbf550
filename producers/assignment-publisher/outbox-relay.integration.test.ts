// The relay between real Postgres and real Kafka: order per key, rows wait while Kafka is away, one publisher, harmless repetition.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createAvroDecoder } from '#platform/kafka/avro-codec.ts';
import { createRecordProducer, type RecordProducer } from '#platform/kafka/record-producer.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { applyDefinition } from '#producers/definition-store/change-definition.ts';
import { createCuttableLink } from '#producers/event-producer/cuttable-link.ts';
import type { AssignmentRecord, DefinitionRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { createTestTopics, type TestTopics } from '#tests/support/kafka.ts';
import { until } from '#tests/support/poll.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { createAssignmentOutbox } from './assignment-outbox.ts';
import { createDefinitionOutbox } from './definition-outbox.ts';
import type { Outbox } from './outbox.ts';
import { type OutboxRelay, startOutboxRelay } from './outbox-relay.ts';
import { createLazyEncoder } from './record-encoder.ts';
import { createRelayMetrics } from './relay-metrics.ts';

let database: TestDatabase;
let topics: TestTopics;
let experimentId: string;
let variantIds: string[];
const running: OutboxRelay[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  topics = await createTestTopics(['assignments', 'definitions']);
  const body = {
    key: 'published',
    unit_type: 'user',
    status: 'running' as const,
    variants: [
      { name: 'control', allocation: 0.5, is_control: true },
      { name: 'treatment', allocation: 0.5 },
    ],
  };
  const result = await applyDefinition(database.pool, body, { actor: 'test', reason: 'test' });
  if (result.status !== 'created') throw new Error(result.status);
  experimentId = result.experiment.experimentId;
  variantIds = result.experiment.variants.map(({ variantId }) => variantId);
});
afterEach(async () => {
  for (const relay of running.splice(0)) await relay[Symbol.asyncDispose]();
});
afterAll(async () => {
  await topics?.drop();
  await database?.drop();
});

const assignmentOutbox = (): Outbox =>
  createAssignmentOutbox({
    topic: topics.name('assignments'),
    encoder: createLazyEncoder<AssignmentRecord>({
      registry: topics.registry,
      topic: topics.name('assignments'),
      schemaName: 'assignment',
    }),
  });

function startRelay(options: { producer?: RecordProducer; outbox?: Outbox } = {}) {
  const metrics = createMetrics({ service: 'test' });
  const relay = startOutboxRelay({
    outbox: options.outbox ?? assignmentOutbox(),
    pool: database.poolAs('assignment_service'),
    producer: options.producer ?? topics.producer(),
    log: createSilentLogger(),
    metrics: createRelayMetrics(metrics),
    owner: 'test',
    config: { idleMs: 10, takeOverMs: 20, maxBackoffMs: 200, batchRecords: 50 },
  });
  running.push(relay);
  return { relay, metrics };
}

/** Stores assignments with their outbox rows, as the service does. */
async function store(unitIds: readonly string[], variant = 0): Promise<void> {
  await database.pool.query(
    `WITH added AS (
       INSERT INTO exp.assignments (experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version, probability, enrolment_share, source)
       SELECT $1, unit_id, 'user', $2, 17, 1, 0.5, 1, 'hashed' FROM unnest($3::text[]) AS wanted (unit_id) RETURNING unit_id)
     INSERT INTO exp.assignment_outbox (experiment_id, unit_id) SELECT $1, unit_id FROM added`,
    [experimentId, variantIds[variant], unitIds],
  );
}
async function erase(unitId: string): Promise<void> {
  await database.pool.query(
    `WITH removed AS (DELETE FROM exp.assignments WHERE experiment_id = $1 AND unit_id = $2 RETURNING unit_id)
     INSERT INTO exp.assignment_outbox (experiment_id, unit_id, kind) SELECT $1, unit_id, 'tombstone' FROM removed`,
    [experimentId, unitId],
  );
}
const allPublished = async (): Promise<boolean> => {
  const { rows } = await database.pool.query('SELECT FROM exp.assignment_outbox WHERE published_at IS NULL LIMIT 1');
  return rows.length === 0;
};

/** Records of the topic in order, decoded as a follower would; a tombstone is null. */
async function readRecords<T>(topic: 'assignments' | 'definitions'): Promise<{ key: string; value: T | null }[]> {
  const decoder = createAvroDecoder<T>({
    registry: topics.registry,
    readerSchema: loadRecordSchema(topic === 'assignments' ? 'assignment' : 'definition'),
    parse: (value) => ({ ok: true, value: value as T }),
    maxValueBytes: 1_048_576,
  });
  const records = (await topics.readAll(topic)).map((record) => ({ ...record, topic, headers: {} }));
  await decoder.prepare(records);
  return records.map((record) => {
    const key = record.key?.toString() ?? '';
    if (record.value === null) return { key, value: null };
    const decoded = decoder.decode(record);
    if (!decoded.ok) throw new Error(decoded.rejection.error);
    return { key, value: decoded.value };
  });
}

test('publishes the whole assignment with the outbox id as its revision', async () => {
  startRelay();
  await store(['whole-é:1'], 1);
  await until('it is published', allPublished);
  const { rows } = await database.pool.query<{ id: bigint; assigned_at: Date }>(
    `SELECT o.id, a.assigned_at FROM exp.assignment_outbox o JOIN exp.assignments a USING (experiment_id, unit_id)
     WHERE o.unit_id = 'whole-é:1'`,
  );
  const key = `${experimentId}:whole-é:1`;
  expect((await readRecords<AssignmentRecord>('assignments')).filter((record) => record.key === key)).toEqual([
    {
      key,
      value: {
        experiment_id: experimentId,
        experiment_key: 'published',
        unit_type: 'user',
        unit_id: 'whole-é:1',
        variant_id: variantIds[1],
        variant_name: 'treatment',
        hash_bucket: 17,
        experiment_version: 1,
        probability: 0.5,
        enrolment_share: 1,
        source: 'hashed',
        assigned_at: rows[0]!.assigned_at.getTime(),
        revision: Number(rows[0]!.id),
      },
    },
  ]);
});

test('rows wait while Kafka is away and arrive in order per key when it is back', async () => {
  await using link = await createCuttableLink({ brokers: stackEndpoints().kafka.brokers });
  const producer = createRecordProducer({ kafka: link.kafka, retries: 1 });
  link.become('cut');
  const { metrics } = startRelay({ producer });
  const units = Array.from({ length: 120 }, (_, index) => `away-${index}`);
  await store(units);
  await until('the relay reports the depth and its failures', async () => {
    const { text } = await metrics.expose();
    return /outbox_unpublished_rows\{[^}]*\} 120/.test(text) && /outbox_failures_total\{[^}]*\} [1-9]/.test(text);
  });
  await erase('away-7');
  await store(['away-7'], 1);
  await erase('away-8');
  expect(await allPublished()).toBe(false);
  link.become('open');
  await until('everything is published', allPublished);
  await producer.disconnect();

  const records = await readRecords<AssignmentRecord>('assignments');
  const folded = new Map(records.map(({ key, value }) => [key, value]));
  const rows = await database.pool.query<{ unit_id: string; variant_id: string }>(
    "SELECT unit_id, variant_id FROM exp.assignments WHERE unit_id LIKE 'away-%'",
  );
  expect(rows.rowCount).toBe(119);
  for (const row of rows.rows) expect(folded.get(`${experimentId}:${row.unit_id}`)?.variant_id).toBe(row.variant_id);
  expect(folded.get(`${experimentId}:away-8`)).toBeNull();
  const revisions = new Map<string, number>();
  for (const { key, value } of records) {
    if (value === null) continue;
    expect(value.revision).toBeGreaterThanOrEqual(revisions.get(key) ?? 0);
    revisions.set(key, value.revision);
  }
});

test('a lost answer publishes the same rows again and nothing else', async () => {
  await using link = await createCuttableLink({ brokers: stackEndpoints().kafka.brokers });
  const producer = createRecordProducer({ kafka: link.kafka, retries: 1 });
  await producer.send(topics.name('assignments'), [{ key: 'warm-up', value: null }]);
  link.become('answers-lost');
  startRelay({ producer });
  await store(['lost-1', 'lost-2']);
  await until('the broker has answered in vain', () => link.lostBytes() > 0);
  link.become('open');
  await until('everything is published', allPublished);
  await producer.disconnect();
  const keys = (await readRecords('assignments')).map(({ key }) => key).filter((key) => key.includes(':lost-'));
  expect(new Set(keys)).toEqual(new Set([`${experimentId}:lost-1`, `${experimentId}:lost-2`]));
});

test('a relay that loses its session between the acks and the mark starts over, and the rows are marked once', async () => {
  const real = topics.producer();
  let kills = 0;
  startRelay({
    producer: {
      ...real,
      send: async (topic, records) => {
        await real.send(topic, records);
        if (kills > 0 || !records.some(({ key }) => String(key).endsWith(':killed-1'))) return;
        kills += 1;
        await database.pool.query(
          `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7160020 AND objid = 1
             AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
        );
      },
    },
  });
  await store(['killed-1']);
  await until('everything is published', async () => kills === 1 && (await allPublished()));
  const records = (await readRecords<AssignmentRecord>('assignments')).filter(({ key }) => key.endsWith(':killed-1'));
  expect(records.length).toBeGreaterThanOrEqual(2);
  expect(new Set(records.map(({ value }) => value?.variant_id))).toEqual(new Set([variantIds[0]]));
});

test('of three relays one publishes, and another goes on when it stops', async () => {
  const senders: number[] = [];
  const relays = [0, 1, 2].map((number) => {
    const real = topics.producer();
    return startRelay({
      producer: {
        ...real,
        send: async (topic, records) => {
          senders.push(number);
          await real.send(topic, records);
        },
      },
    });
  });
  await store(['three-1']);
  await until('the first row is published', allPublished);
  const first = senders[0]!;
  expect(new Set(senders)).toEqual(new Set([first]));
  await relays[first]!.relay[Symbol.asyncDispose]();
  await store(['three-2']);
  await until('the next row is published', allPublished);
  expect(new Set(senders).size).toBe(2);
});

test('purges rows that were published more than a day ago, and never unpublished ones', async () => {
  await store(['old-1', 'old-2']);
  await database.pool.query(
    `UPDATE exp.assignment_outbox SET created_at = now() - interval '3 days',
       published_at = CASE WHEN unit_id = 'old-1' THEN now() - interval '2 days' END WHERE unit_id IN ('old-1', 'old-2')`,
  );
  const outbox = assignmentOutbox();
  expect(await outbox.purge(database.poolAs('assignment_service'), 10_000)).toBe(1);
  const { rows } = await database.pool.query("SELECT unit_id FROM exp.assignment_outbox WHERE unit_id LIKE 'old-%'");
  expect(rows).toEqual([{ unit_id: 'old-2' }]);
});

test('definitions are published whole, with the last change of each experiment', async () => {
  const author = { actor: 'test', reason: 'test' };
  const body = { key: 'followed', unit_type: 'user', variants: [{ name: 'only', allocation: 1 }] };
  await applyDefinition(database.pool, body, author);
  await applyDefinition(database.pool, { ...body, name: 'Followed' }, author);
  startRelay({
    outbox: createDefinitionOutbox({
      topic: topics.name('definitions'),
      encoder: createLazyEncoder<DefinitionRecord>({
        registry: topics.registry,
        topic: topics.name('definitions'),
        schemaName: 'definition',
      }),
    }),
  });
  await until('the outbox is empty', async () => {
    const { rows } = await database.pool.query('SELECT FROM exp.definition_outbox WHERE published_at IS NULL LIMIT 1');
    return rows.length === 0;
  });
  const records = (await readRecords<DefinitionRecord>('definitions')).filter(
    ({ value }) => value?.experiment_key === 'followed',
  );
  expect(records).toHaveLength(1);
  expect(records[0]!.value).toMatchObject({ version: 2, status: 'draft', iteration: 1 });
  expect(JSON.parse(records[0]!.value!.definition)).toMatchObject({ name: 'Followed', variants: [{ allocation: 1 }] });
});
