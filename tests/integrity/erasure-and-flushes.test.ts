// Promise: whichever comes first, erasure or flush, no row is committed under the id of an erased unit.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createErasedUnitLookup, withErasure } from '#consumers/erasure.ts';
import { createAssignmentLookup } from '#consumers/postgres-sink/assignment-lookup.ts';
import { createPostgresSink } from '#consumers/postgres-sink/sink.ts';
import { hashUnit } from '#domain/archive/erased-units.ts';
import { eventKeyOf } from '#domain/event/parse-event.ts';
import { FatalError, RetryableError } from '#platform/errors.ts';
import type { Batch, Sink } from '#platform/kafka/sink.ts';
import { inTransaction, type Pool, type PoolClient } from '#platform/postgres/pool.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { sampleEvent } from '#tests/support/events.ts';
import { until } from '#tests/support/poll.ts';

const key = 'a key for tests that has at least 32 characters';
const actor = 'test';
let database: TestDatabase;
let pool: Pool;
let unitId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = database.poolAs('postgres_sink', 6);
});
afterAll(async () => {
  await database?.drop();
});
beforeEach(() => {
  unitId = `unit-${randomUUID()}`;
});

let offset = 0n;
function batchOf(events: readonly EventRecord[]): Batch<EventRecord> {
  const firstOffset = offset;
  const records = events.map((value) => ({
    value,
    record: {
      topic: 'events',
      partition: 0,
      offset: offset++,
      key: Buffer.from(eventKeyOf(value)),
      value: Buffer.from(JSON.stringify(value)),
      headers: {},
      timestampMs: 0,
    },
  }));
  return { topic: 'events', partition: 0, firstOffset, nextOffset: offset, records, rejected: [] };
}
const eventOf = (change: Partial<EventRecord> = {}): EventRecord =>
  sampleEvent({ unit_id: unitId, experiments: [], ...change });
const createSink = (): Sink<EventRecord> =>
  withErasure(createPostgresSink({ pool, assignments: createAssignmentLookup() }), {
    pool,
    erasedUnits: createErasedUnitLookup(key),
    mode: 'pseudonymize',
  });
const erase = async (connection: Pick<PoolClient, 'query'>): Promise<string> => {
  const { rows } = await connection.query<{ report: { pseudonym: string } }>(
    'SELECT exp.erase_unit($1, $2, $3, $4, $5) AS report',
    ['user', unitId, hashUnit(key, 'user', unitId), `erased-${randomUUID()}`, actor],
  );
  return rows[0]!.report.pseudonym;
};
const unitsOf = async (events: readonly EventRecord[]): Promise<string[]> =>
  (
    await database.pool.query<{ unit_id: string }>(
      'SELECT DISTINCT unit_id FROM exp.events WHERE event_id = ANY ($1::uuid[])',
      [events.map(({ event_id }) => event_id)],
    )
  ).rows.map(({ unit_id }) => unit_id);
const waitersForLocks = async (): Promise<number> =>
  (
    await database.pool.query(
      `SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    )
  ).rowCount ?? 0;

test('an erasure waits for a flush that did not see it, and then finds its rows', async () => {
  const sink = createSink();
  const events = [eventOf()];
  const batch = batchOf(events);
  await sink.prepare?.(batch);
  let erasing: Promise<string> | undefined;
  await inTransaction(pool, async (tx) => {
    await sink.write(tx, batch);
    erasing = erase(database.pool);
    await until('the erasure waits', async () => (await waitersForLocks()) === 1);
  });
  const pseudonym = await erasing!;
  expect(await unitsOf(events)).toEqual([pseudonym]);
});

test('a flush waits for an erasure that is under way, and then sees it', async () => {
  const sink = createSink();
  const events = [eventOf()];
  const batch = batchOf(events);
  await sink.prepare?.(batch);
  let flushing: Promise<unknown> | undefined;
  const pseudonym = await inTransaction(database.pool, async (tx) => {
    const used = await erase(tx);
    flushing = inTransaction(pool, (other) => sink.write(other, batch));
    await until('the flush waits', async () => (await waitersForLocks()) === 1);
    return used;
  });
  expect(await flushing).toMatchObject({ written: 1 });
  expect(await unitsOf(events)).toEqual([pseudonym]);
});

test('an event that comes again after the erasure is a duplicate, and one with other content a conflict without content', async () => {
  const sink = createSink();
  const event = eventOf({ payload: '{"a":1}' });
  const flush = async (events: readonly EventRecord[]) => {
    const batch = batchOf(events);
    await sink.prepare?.(batch);
    return inTransaction(pool, (tx) => sink.write(tx, batch));
  };
  await flush([event]);
  await erase(database.pool);
  expect(await flush([event])).toMatchObject({ written: 0, duplicates: 1, rejected: [] });
  const result = await flush([{ ...event, metrics: { revenue: 99 } }]);
  expect(result).toMatchObject({ written: 0, duplicates: 0 });
  expect(result.rejected[0]?.record).toMatchObject({ key: null, value: null, headers: {} });
});

test('another unit with the same id is another unit', async () => {
  await erase(database.pool);
  const sink = createSink();
  const events = [eventOf({ unit_type: 'device' })];
  const batch = batchOf(events);
  await sink.prepare?.(batch);
  await inTransaction(pool, (tx) => sink.write(tx, batch));
  expect(await unitsOf(events)).toEqual([unitId]);
});

function createRecordingSink() {
  const log: string[] = [];
  const describe = ({ records }: Batch<EventRecord>): string => records.map(({ value }) => value.unit_id).join();
  const sink: Sink<EventRecord, string> = {
    prepare: async (batch) => {
      log.push(`prepared ${describe(batch)}`);
      return 'made';
    },
    write: async (_tx, batch, prepared) => {
      log.push(`wrote ${describe(batch)} with what was ${prepared}`);
      return { written: batch.records.length, duplicates: 0, rejected: [] };
    },
    committed: (batch) => log.push(`committed ${describe(batch)}`),
  };
  return { sink, log };
}

test('what was prepared with the id is made again when the unit was erased meanwhile', async () => {
  const { sink: inner, log } = createRecordingSink();
  const sink = withErasure(inner, {
    pool,
    erasedUnits: createErasedUnitLookup(key),
    mode: 'pseudonymize',
    preparesContent: true,
  });
  const batch = batchOf([eventOf()]);
  const prepared = await sink.prepare!(batch);
  const pseudonym = await erase(database.pool);
  await expect(inTransaction(pool, (tx) => sink.write(tx, batch, prepared))).rejects.toBeInstanceOf(RetryableError);
  const again = await sink.prepare!(batch);
  await inTransaction(pool, (tx) => sink.write(tx, batch, again));
  sink.committed?.(batch);
  expect(log).toEqual([
    `prepared ${unitId}`,
    `prepared ${pseudonym}`,
    `wrote ${pseudonym} with what was made`,
    `committed ${pseudonym}`,
  ]);
});

test('events that are left out count as written', async () => {
  const { sink: inner, log } = createRecordingSink();
  await erase(database.pool);
  const sink = withErasure(inner, { pool, erasedUnits: createErasedUnitLookup(key), mode: 'leave-out' });
  const batch = batchOf([eventOf(), eventOf({ unit_id: 'somebody-else' })]);
  const result = await inTransaction(pool, (tx) => sink.write(tx, batch, 'made'));
  expect(result).toEqual({ written: 2, duplicates: 0, rejected: [] });
  expect(log).toEqual(['wrote somebody-else with what was made']);
});

test('a process with another key stops instead of letting erased units pass', async () => {
  await createErasedUnitLookup(key).find(pool, []);
  await expect(createErasedUnitLookup('another key that also has 32 characters').find(pool, [])).rejects.toBeInstanceOf(
    FatalError,
  );
});
