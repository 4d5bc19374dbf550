// Promise: an event counts once, however often and by whichever way it is sent; the same id on another UTC day is another event.
import avro from 'avsc';
import kafkajs from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventDateOf, eventKeyOf } from '#domain/event/parse-event.ts';
import { waitUntilCaughtUp } from '#infra/system/caught-up.ts';
import { runTraffic, sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';
import type { EventBody } from '#producers/workload-client/workload-port.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { topics, valueSubject } from '#schemas/topics.ts';
import { createExperiment, post } from '#tests/support/service-client.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { compareWithRecount, readArchive, readLogEnds, readStoredEvents } from '#tests/support/stored-events.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';

const unitCount = 120;
const midnight = Date.UTC(2026, 9, 2);

let run: TestSystem;
let experiment: { id: string; variants: string[] };
const { Kafka, logLevel } = kafkajs;

beforeAll(async () => {
  run = await startTestSystem({
    'assignment-service': 1,
    'ingestion-service': 2,
    'postgres-sink': 2,
    'parquet-archiver': 2,
    'metrics-aggregator': 2,
    'dataset-builder': 2,
  });
  const created = await createExperiment(run, { key: 'once', exposure: 'implicit' });
  experiment = { id: created.experiment_id, variants: created.variants.map(({ variant_id }) => variant_id) };
});
afterAll(async () => {
  await run?.stop();
});

function purchase(unit: number, eventId: string, timestamp: string): EventBody {
  return {
    event_id: eventId,
    event_type: 'purchase',
    unit_type: 'user',
    unit_id: `user-${unit}`,
    experiments: [{ experiment_id: experiment.id, variant_id: experiment.variants[unit % 2]! }],
    context: { country: 'DE' },
    metrics: { revenue: unit },
    timestamp,
  };
}

const idOf = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
const identityOf = ({ event_id, timestamp }: EventBody): string => `${event_id}/${eventDateOf(Date.parse(timestamp))}`;

/** The same event as a service of another team would write it: its own client, its own name, its own clock. */
function toRecord(body: EventBody): EventRecord {
  return {
    event_id: body.event_id,
    event_type: body.event_type,
    unit_type: body.unit_type,
    unit_id: body.unit_id,
    experiments: body.experiments.map((ref) => ({ ...ref })),
    context: { ...body.context },
    metrics: { ...body.metrics },
    payload: body.payload === undefined ? null : JSON.stringify(body.payload),
    event_time: Date.parse(body.timestamp),
    ingest_time: Date.now(),
    producer: 'another-service',
  };
}

/** Sends to the topic with a plain client that knows nothing but Kafka, the registry's HTTP interface and Avro. */
async function sendStraight(events: readonly EventBody[], partitionOf?: (index: number) => number): Promise<void> {
  const topic = run.topics.name('events');
  const { kafka, schemaRegistry } = stackEndpoints();
  const answer = await fetch(`${schemaRegistry.url}/subjects/${valueSubject(topic)}/versions/latest`);
  const { id, schema } = (await answer.json()) as { id: number; schema: string };
  const type = avro.Type.forSchema(JSON.parse(schema));
  const frame = (record: EventRecord): Buffer => {
    const header = Buffer.alloc(5);
    header.writeInt32BE(id, 1);
    return Buffer.concat([header, type.toBuffer(record)]);
  };
  const producer = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
  try {
    const messages = events.map(toRecord).map((record, index) => ({
      key: eventKeyOf(record),
      value: frame(record),
      ...(partitionOf === undefined ? {} : { partition: partitionOf(index) }),
    }));
    await producer.send({ topic, acks: -1, messages });
  } finally {
    await producer.disconnect();
  }
}

async function sendOverHttp(instance: number, events: readonly EventBody[]): Promise<void> {
  const { url } = run.replicas('ingestion-service')[instance]!;
  const { results } = await post<{ results: { status: string }[] }>(
    `${url}/v1/events`,
    run.access.ingestKey,
    events,
    [202],
  );
  expect(results.every(({ status }) => status === 'accepted')).toBe(true);
}

const sendThreeTimes = (events: readonly EventBody[]): Promise<unknown> =>
  Promise.all([sendOverHttp(0, events), sendOverHttp(1, events), sendStraight(events)]);

test('an event sent over two instances and straight to the topic counts once, around midnight UTC too', async () => {
  const units = Array.from({ length: unitCount }, (_, unit) => unit);
  const ordinary = units.map((unit) => purchase(unit, idOf(unit), '2026-10-01T12:00:00.000Z'));
  // One id, two days: the last millisecond of one and the first of the next.
  const before = units.map((unit) => purchase(unit, idOf(1_000 + unit), new Date(midnight - 1).toISOString()));
  const after = units.map((unit) => purchase(unit, idOf(1_000 + unit), new Date(midnight).toISOString()));
  await Promise.all([sendThreeTimes(ordinary), sendThreeTimes(before), sendThreeTimes(after)]);
  // The same instant with another zone, whose local day differs, is the same event.
  await sendOverHttp(
    0,
    before.map((event) => ({ ...event, timestamp: '2026-10-02T01:59:59.999+02:00' })),
  );
  // A client with another partitioner: the repeats arrive in other partitions, which other members read.
  await sendStraight(ordinary, (index) => index % topics.events.partitions);
  const plans = runTraffic({ world: sampleWorld({ households: 5, days: 7 }), assign: () => [] });
  await sendThreeTimes(plans);
  await waitUntilCaughtUp({ kafka: run.topics.kafka, pool: run.database.pool, namespace: run.topics.namespace });
  expect(run.unexpectedEnds).toEqual([]);
  expect(await run.topics.readAll('eventsDeadLetter')).toEqual([]);

  const { pool } = run.database;
  const sent = [...ordinary, ...before, ...after, ...plans];
  const expected = sent.map(identityOf).sort();
  expect(new Set(expected).size).toBe(sent.length);
  expect(await readStoredEvents(pool)).toEqual(expected);

  const archive = await readArchive(pool, run.objectStore);
  const ends = await readLogEnds(run.topics.kafka, run.topics.namespace);
  const records = [...ends.values()].reduce((sum, end) => sum + Number(end), 0);
  expect(records).toBe(3 * sent.length + 2 * unitCount);
  expect(archive.records).toBe(records);
  expect(archive.events).toEqual(expected);

  const revenue = units.reduce((sum, unit) => sum + unit, 0);
  const aggregates = await pool.query<{ day: string; count: bigint; sum: number }>(
    `SELECT to_char(bucket_start, 'YYYY-MM-DD') AS day, sum(count)::bigint AS count, sum(sum) AS sum FROM exp.metric_aggregates
     WHERE experiment_id = $1 AND granularity = 'day' GROUP BY 1 ORDER BY 1`,
    [experiment.id],
  );
  expect(aggregates.rows).toEqual([
    { day: '2026-10-01', count: BigInt(2 * unitCount), sum: 2 * revenue },
    { day: '2026-10-02', count: BigInt(unitCount), sum: revenue },
  ]);
  const unitRows = await pool.query<{ count: bigint }>(
    'SELECT DISTINCT count FROM exp.unit_metrics WHERE experiment_id = $1',
    [experiment.id],
  );
  expect(unitRows.rows).toEqual([{ count: 3n }]);
  for (const [table, { different }] of Object.entries(await compareWithRecount(pool)))
    expect(different, table).toEqual([]);

  const plansMade = plans.filter(({ event_type }) => event_type === 'plan_generated').length;
  const rows = await pool.query<{ count: bigint }>(
    'SELECT count(*) AS count FROM exp.training_rows WHERE request IS NOT NULL',
  );
  expect(plansMade).toBeGreaterThan(0);
  expect(rows.rows[0]!.count).toBe(BigInt(plansMade));
});
