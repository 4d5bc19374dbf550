// Action-log tests of the flush: the whole ordered list of effects is asserted, so durable always comes before the offset.
import { describe, expect, it } from 'vitest';
import { RecordError, RetryableError } from '#platform/errors.ts';
import { createFlusher } from '#platform/kafka/flusher.ts';
import { OwnershipLostError } from '#platform/kafka/postgres-offsets.ts';
import type { KafkaRecord, RejectedRecord } from '#platform/kafka/record.ts';
import { createRunnerMetrics } from '#platform/kafka/runner-metrics.ts';
import type { Batch, Sink } from '#platform/kafka/sink.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { tracingOff } from '#platform/telemetry/tracing.ts';

const record = (offset: number): KafkaRecord => ({
  topic: 't',
  partition: 0,
  offset: BigInt(offset),
  key: null,
  value: Buffer.from([1]),
  headers: {},
  timestampMs: 0,
});
const rejectedAt = (offset: number): RejectedRecord => ({
  record: record(offset),
  rejection: { stage: 'decode', reason: 'undecodable', error: 'x' },
});
const batchOf = (values: number[], rejected: number[] = []): Batch<number> => ({
  topic: 't',
  partition: 0,
  firstOffset: 0n,
  nextOffset: BigInt(Math.max(...values, ...rejected) + 1),
  records: values.map((value) => ({ record: record(value), value })),
  rejected: rejected.map(rejectedAt),
});

/** A pool whose only statements are those of the transaction. */
const loggingPool = (log: string[]): Pool =>
  ({
    connect: async () => ({
      query: async (sql: string) => {
        log.push(sql.toLowerCase());
        return { command: sql, rows: [], rowCount: 0 };
      },
      release: () => undefined,
    }),
  }) as unknown as Pool;

function setUp(options: { sink?: Partial<Sink<number>>; advance?: (log: string[]) => void } = {}) {
  const log: string[] = [];
  const flusher = createFlusher<number, void>({
    pool: loggingPool(log),
    offsets: {
      load: async () => new Map(),
      findMoved: async () => [],
      advance: async (_tx, _partition, from, to) => {
        options.advance?.(log);
        log.push(`offset ${from} -> ${to}`);
      },
    },
    sink: {
      write: async (_tx, batch) => {
        log.push(`wrote ${batch.records.map(({ value }) => value).join(',')}`);
        return { written: batch.records.length, duplicates: 0, rejected: [] };
      },
      ...options.sink,
    },
    publishDeadLetters: async (letters) => {
      if (letters.length > 0)
        log.push(
          `dead-lettered ${letters.map(({ record: { offset }, rejection }) => `${offset}:${rejection.reason}`).join(',')}`,
        );
    },
    metrics: createRunnerMetrics(createMetrics({ service: 'test' }), { partitionCount: 0 }),
    tracing: tracingOff,
    groupId: 'g',
    log: createSilentLogger(),
    random: () => 0,
    retry: { firstDelayMs: 1, maxDelayMs: 1 },
  });
  return { log, flush: (batch: Batch<number>, owned = () => true) => flusher.flush(batch, owned) };
}

describe('flush', () => {
  it('publishes dead letters, then writes and moves the offset in one transaction', async () => {
    const { log, flush } = setUp();
    await flush(batchOf([0, 2], [1]));
    expect(log).toEqual(['dead-lettered 1:undecodable', 'begin', 'offset 0 -> 3', 'wrote 0,2', 'commit']);
  });

  it('publishes what the sink rejects before the commit', async () => {
    const { log, flush } = setUp({
      sink: {
        write: async (_tx, batch) => ({
          written: 1,
          duplicates: 0,
          rejected: [
            { record: batch.records[1]!.record, rejection: { stage: 'sink', reason: 'conflict', error: 'x' } },
          ],
        }),
      },
    });
    await flush(batchOf([0, 1]));
    expect(log).toEqual(['begin', 'offset 0 -> 2', 'dead-lettered 1:conflict', 'commit']);
  });

  it('rolls back and tries again while a dependency is away', async () => {
    let failures = 2;
    const { log, flush } = setUp({
      sink: {
        write: async () => {
          if (failures > 0) {
            failures -= 1;
            throw new RetryableError('away', { code: 'dependency-unavailable' });
          }
          return { written: 1, duplicates: 0, rejected: [] };
        },
      },
    });
    expect(await flush(batchOf([0], [1]))).toBe('done');
    const attempt = ['begin', 'offset 0 -> 2'];
    expect(log).toEqual([
      'dead-lettered 1:undecodable',
      ...attempt,
      'rollback',
      ...attempt,
      'rollback',
      ...attempt,
      'commit',
    ]);
  });

  it('halves a refused batch until the poison record is alone', async () => {
    const { log, flush } = setUp({
      sink: {
        write: async (_tx, batch) => {
          if (batch.records.some(({ value }) => value === 2))
            throw new RecordError('poison', { code: 'record-rejected' });
          log.push(`wrote ${batch.records.map(({ value }) => value).join(',')}`);
          return { written: batch.records.length, duplicates: 0, rejected: [] };
        },
      },
    });
    await flush(batchOf([0, 1, 2, 3], [4]));
    expect(log.filter((line) => line !== 'begin' && line !== 'rollback')).toEqual([
      'dead-lettered 4:undecodable',
      'offset 0 -> 5',
      'offset 0 -> 2',
      'wrote 0,1',
      'commit',
      'offset 2 -> 5',
      'offset 2 -> 3',
      'dead-lettered 2:poison',
      'offset 2 -> 3',
      'wrote ',
      'commit',
      'offset 3 -> 5',
      'wrote 3',
      'commit',
    ]);
  });

  it('writes nothing when another member has moved the offset', async () => {
    const { log, flush } = setUp({
      advance: () => {
        throw new OwnershipLostError('g', 't', 0);
      },
    });
    await expect(flush(batchOf([0]))).rejects.toBeInstanceOf(OwnershipLostError);
    expect(log).toEqual(['begin', 'rollback']);
  });

  it('abandons a batch whose partition is gone while it waits', async () => {
    let owned = true;
    const { log, flush } = setUp({
      sink: {
        write: async () => {
          owned = false;
          throw new RetryableError('away', { code: 'dependency-unavailable' });
        },
      },
    });
    expect(await flush(batchOf([0]), () => owned)).toBe('abandoned');
    expect(log).toEqual(['begin', 'offset 0 -> 1', 'rollback']);
  });

  it('stops on a failure it does not know', async () => {
    const { flush } = setUp({
      sink: {
        write: async () => {
          throw new TypeError('a bug');
        },
      },
    });
    await expect(flush(batchOf([0]))).rejects.toThrow('a bug');
  });

  it('stops when the sink does not account for every record', async () => {
    const { log, flush } = setUp({ sink: { write: async () => ({ written: 0, duplicates: 0, rejected: [] }) } });
    await expect(flush(batchOf([0]))).rejects.toThrow('accounts for 0 of 1');
    expect(log).toEqual(['begin', 'offset 0 -> 1', 'rollback']);
  });
});
