// Stored positions against the log: what lies outside it stops a group, but not while a broker has only just come back.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FatalError, RetryableError } from '#platform/errors.ts';
import { createOffsetStore } from '#platform/kafka/postgres-offsets.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';

let database: TestDatabase;
const log = { clusterId: 'c', topicId: 'i', logStart: 0n, highWatermark: 100n };
let nowMs = 0;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.drop());

const createStore = () =>
  createOffsetStore({
    pool: database.pool,
    groupId: 'g',
    topic: 't',
    inspector: { identity: async () => log, offsets: async () => new Map([[0, log]]) },
    now: () => nowMs,
  });

async function store(position: bigint): Promise<void> {
  await database.pool.query(`UPDATE exp.consumer_offsets SET next_offset = $1 WHERE consumer_group = 'g'`, [position]);
}

it('waits a minute with a position beyond the end, as after the restart of a broker, and then stops', async () => {
  const offsets = createStore();
  await offsets.load([0]);
  await store(100n);
  log.highWatermark = 97n;
  await expect(offsets.load([0])).rejects.toThrow(RetryableError);
  nowMs += 59_000;
  await expect(offsets.load([0])).rejects.toThrow(RetryableError);
  log.highWatermark = 100n;
  expect((await offsets.load([0])).get(0)?.nextOffset).toBe(100n);
  // It counts from the beginning: the broker was well in between.
  log.highWatermark = 97n;
  nowMs += 30_000;
  await expect(offsets.load([0])).rejects.toThrow(RetryableError);
  nowMs += 61_000;
  const lost = offsets.load([0]);
  await expect(lost).rejects.toThrow(FatalError);
  await expect(lost).rejects.toThrow('at offset 100 of t partition 0, beyond its end 97: Kafka has lost records');
});

it('stops at once when the log does not reach back to the position, or is another one', async () => {
  const offsets = createStore();
  Object.assign(log, { logStart: 120n, highWatermark: 200n });
  await expect(offsets.load([0])).rejects.toThrow('20 records were deleted unread');
  Object.assign(log, { logStart: 0n, topicId: 'another' });
  await expect(offsets.load([0])).rejects.toThrow('the topic was made anew');
});
