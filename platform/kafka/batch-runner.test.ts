// Action-log tests of the runner: assignment, buffering, flushing, rebalances, backpressure and drain, in the order they must have.
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { FatalError, RetryableError } from '#platform/errors.ts';
import { createBatchRunner } from '#platform/kafka/batch-runner.ts';
import { createFakeConsumerMember } from '#platform/kafka/fake-consumer-member.ts';
import { OwnershipLostError, type Position } from '#platform/kafka/postgres-offsets.ts';
import { createRunnerMetrics } from '#platform/kafka/runner-metrics.ts';
import type { Batch, Sink } from '#platform/kafka/sink.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { tracingOff } from '#platform/telemetry/tracing.ts';

const quietPool = {
  connect: async () => ({
    query: async (command: string) => ({ command, rows: [], rowCount: 0 }),
    release: () => undefined,
  }),
} as unknown as Pool;

function setUp(
  options: {
    sink?: Partial<Sink<string>>;
    maxRecords?: number;
    maxAgeMs?: number;
    maxBufferedBytes?: number;
    logStart?: bigint;
    log?: string[];
    stallTimeoutMs?: number;
  } = {},
) {
  const log = options.log ?? [];
  const stored = new Map<number, bigint>();
  const failures: unknown[] = [];
  const member = createFakeConsumerMember({ topic: 't', log });
  const load = { failures: 0 };
  const group = { revision: 0n, isPaused: false };
  const seen = new Map<number, bigint>();
  const storedPosition = (id: number): Position => ({ nextOffset: stored.get(id) ?? 0n, ...group });
  const runner = createBatchRunner<string, void>(
    {
      groupId: 'g',
      topic: 't',
      flush: { maxRecords: options.maxRecords ?? 2, maxBytes: 1_000, maxAgeMs: options.maxAgeMs ?? 60_000 },
      maxBufferedBytes: options.maxBufferedBytes ?? 10_000,
      flushConcurrency: 2,
      stallTimeoutMs: options.stallTimeoutMs ?? 60_000,
      retry: { firstDelayMs: 1, maxDelayMs: 1 },
      lookIntervalMs: 5,
    },
    {
      member,
      inspector: {
        identity: async () => ({ clusterId: 'c', topicId: 't' }),
        offsets: async () =>
          new Map([0, 1].map((id) => [id, { logStart: options.logStart ?? 0n, highWatermark: 100n }])),
      },
      offsets: {
        load: async (partitions) => {
          if (load.failures > 0) {
            load.failures -= 1;
            throw new RetryableError('away', { code: 'dependency-unavailable' });
          }
          for (const id of partitions) seen.set(id, group.revision);
          return new Map(partitions.map((id) => [id, storedPosition(id)]));
        },
        findMoved: async (expected) =>
          [...expected].filter(([id, position]) => !isDeepStrictEqual(position, storedPosition(id))).map(([id]) => id),
        advance: async (_tx, partition, from, to) => {
          const { nextOffset, revision, isPaused } = storedPosition(partition);
          if (nextOffset !== from || revision !== seen.get(partition) || isPaused)
            throw new OwnershipLostError('g', 't', partition);
          stored.set(partition, to);
          log.push(`committed ${partition} to ${to}`);
        },
      },
      pool: quietPool,
      decoder: { prepare: async () => undefined, decode: (record) => ({ ok: true, value: record.value!.toString() }) },
      sink: {
        write: async (_tx, batch) => {
          log.push(`wrote ${batch.partition}: ${batch.records.map(({ value }) => value).join(' ')}`);
          return { written: batch.records.length, duplicates: 0, rejected: [] };
        },
        ...options.sink,
      },
      publishDeadLetters: async () => undefined,
      metrics: createRunnerMetrics(createMetrics({ service: 'test' }), { partitionCount: 0 }),
      tracing: tracingOff,
      log: createSilentLogger(),
      now: Date.now,
      random: () => 0,
      fail: (error) => failures.push(error),
    },
  );
  const settle = (what: string): Promise<void> => expect.poll(() => log, { timeout: 2_000 }).toContain(what);
  const assign = async (...partitions: number[]): Promise<void> => {
    member.handlers.assigned(partitions);
    await expect.poll(() => runner.ready(), { timeout: 2_000 }).toBe(true);
  };
  return { runner, member, log, stored, group, failures, load, settle, assign };
}

/** The fence comes first inside the transaction, so a commit line stands before the write it belongs to. */
describe('batch runner', () => {
  it('continues where Postgres says, whatever Kafka says', async () => {
    const { runner, stored, log, assign } = setUp();
    stored.set(0, 7n);
    await runner.start();
    await assign(0);
    expect(log).toEqual(['seek 0 to 7', 'resume 0']);
  });

  it('waits with positioning while Postgres is away', async () => {
    const { runner, load, log, assign } = setUp();
    load.failures = 3;
    await runner.start();
    await assign(0);
    expect(log).toEqual(['seek 0 to 0', 'resume 0']);
  });

  it('flushes full batches at once and the rest by age', async () => {
    const { runner, member, log, assign, settle } = setUp({ maxAgeMs: 30 });
    await runner.start();
    await assign(0);
    await member.deliver(0, ['a', 'b', 'c']);
    await settle('wrote 0: c');
    expect(log.filter((line) => line.startsWith('wrote') || line.startsWith('committed'))).toEqual([
      'committed 0 to 2',
      'wrote 0: a b',
      'committed 0 to 3',
      'wrote 0: c',
    ]);
  });

  it('drains before it leaves: flush, then tell Kafka, then leave', async () => {
    const { runner, member, log, assign } = setUp();
    await runner.start();
    await assign(0, 1);
    await member.deliver(0, ['a']);
    await member.deliver(1, ['b']);
    log.length = 0;
    await runner.drain();
    expect(log.slice(0, 2)).toEqual(['pause 0', 'pause 1']);
    expect(log.slice(-2)).toEqual(['told Kafka 0:1 1:1', 'left the group']);
    expect(log.slice(2, -2).toSorted()).toEqual(['committed 0 to 1', 'committed 1 to 1', 'wrote 0: a', 'wrote 1: b']);
  });

  it('discards what it buffered when the partition is revoked, and reads it again', async () => {
    const { runner, member, log, assign, settle } = setUp();
    await runner.start();
    await assign(0);
    await member.deliver(0, ['a']);
    member.handlers.revoked();
    expect(runner.ready()).toBe(false);
    await member.deliver(0, ['late']);
    await assign(0);
    expect(member.position(0)).toBe(0n);
    await member.deliver(0, ['a', 'b']);
    await settle('wrote 0: a b');
    expect(log.filter((line) => line.startsWith('wrote'))).toEqual(['wrote 0: a b']);
  });

  it('gives a partition up that another member has moved on, and continues behind it', async () => {
    const { runner, member, stored, log, assign, settle, failures } = setUp();
    await runner.start();
    await assign(0);
    await member.deliver(0, ['a']);
    stored.set(0, 5n);
    await member.deliver(0, ['b']);
    await settle('seek 0 to 5');
    await expect.poll(() => runner.ready()).toBe(true);
    await member.deliver(0, ['f', 'g']);
    await settle('wrote 0: f g');
    expect(log.filter((line) => line.startsWith('wrote'))).toEqual(['wrote 0: f g']);
    expect(failures).toEqual([]);
  });

  it('pauses a partition whose buffer is full while a flush hangs, keeps the other going, and resumes it', async () => {
    const gate = Promise.withResolvers<void>();
    const { runner, member, log, assign, settle } = setUp({
      sink: {
        write: async (_tx, batch: Batch<string>) => {
          if (batch.partition === 0) await gate.promise;
          log.push(`wrote ${batch.partition}: ${batch.records.map(({ value }) => value).join(' ')}`);
          return { written: batch.records.length, duplicates: 0, rejected: [] };
        },
      },
    });
    await runner.start();
    await assign(0, 1);
    await member.deliver(0, ['a', 'b', 'c', 'd', 'e', 'f']);
    expect(member.isPaused(0)).toBe(true);
    await member.deliver(1, ['x', 'y']);
    await settle('wrote 1: x y');
    gate.resolve();
    await settle('wrote 0: e f');
    await expect.poll(() => member.isPaused(0)).toBe(false);
  });

  it('flushes the fullest partition early when all buffers together hold too much', async () => {
    const { runner, member, log, assign, settle } = setUp({ maxRecords: 1_000, maxBufferedBytes: 10 });
    await runner.start();
    await assign(0, 1);
    await member.deliver(1, ['abc']);
    await member.deliver(0, ['0123456789']);
    await settle('wrote 0: 0123456789');
    expect(log.filter((line) => line.startsWith('wrote'))).toEqual(['wrote 0: 0123456789']);
    await expect.poll(() => member.isPaused(0)).toBe(false);
  });

  it('passes gaps of control records, and stops when records were deleted unread', async () => {
    const gap = setUp();
    await gap.runner.start();
    await gap.assign(0);
    await gap.member.deliver(0, ['a', 'b'], { gap: 1n });
    await gap.settle('committed 0 to 3');
    const deleted = setUp({ logStart: 1n });
    await deleted.runner.start();
    await deleted.assign(0);
    await deleted.member.deliver(0, ['a', 'b'], { gap: 1n });
    expect(deleted.failures).toHaveLength(1);
    expect(deleted.failures[0]).toMatchObject({ code: 'offset-below-log-start' });
    expect(deleted.log).not.toContain('wrote 0: a b');
  });

  it('reports an unknown failure once and writes nothing more', async () => {
    const { runner, member, log, assign, failures } = setUp({
      sink: {
        write: async () => {
          throw new TypeError('a bug');
        },
      },
    });
    await runner.start();
    await assign(0, 1);
    await member.deliver(0, ['a', 'b']);
    await expect.poll(() => failures.length).toBe(1);
    await member.deliver(1, ['c', 'd']);
    expect(runner.ready()).toBe(false);
    expect(failures).toHaveLength(1);
    expect(log.filter((line) => line.startsWith('wrote'))).toEqual([]);
  });

  it('ends when the consumer crashes for good', async () => {
    const { runner, member, failures } = setUp();
    await runner.start();
    member.handlers.crashed(new Error('gone'));
    expect(failures[0]).toBeInstanceOf(FatalError);
  });

  it('holds what it owns while the group is paused, is ready, and goes on from where the group is when it is resumed', async () => {
    const { runner, member, stored, group, log, assign, settle } = setUp();
    await runner.start();
    await assign(0, 1);
    Object.assign(group, { isPaused: true, revision: 1n });
    await settle('pause 0');
    await settle('pause 1');
    expect(runner.ready()).toBe(true);
    await member.deliver(0, ['a', 'b']);
    stored.set(0, 5n);
    Object.assign(group, { isPaused: false, revision: 2n });
    await settle('seek 0 to 5');
    await member.deliver(0, ['f', 'g']);
    await settle('wrote 0: f g');
    expect(log.filter((line) => line.startsWith('wrote'))).toEqual(['wrote 0: f g']);
  });

  it('writes nothing that it buffered before an operator acted, and lets the sink forget first', async () => {
    const log: string[] = [];
    const { runner, member, group, assign, settle } = setUp({ log, sink: { forget: () => void log.push('forgot') } });
    await runner.start();
    await assign(0);
    await member.deliver(0, ['a']);
    group.revision = 1n;
    await member.deliver(0, ['b']);
    await settle('forgot');
    await expect.poll(() => runner.ready()).toBe(true);
    await member.deliver(0, ['a', 'b']);
    await settle('wrote 0: a b');
    expect(log.filter((line) => /^(forgot|wrote)/.test(line))).toEqual(['forgot', 'wrote 0: a b']);
  });

  it('starts anew where an operator moved an idle group to', async () => {
    const { runner, member, stored, assign, settle } = setUp();
    await runner.start();
    stored.set(0, 40n);
    await assign(0);
    stored.set(0, 10n);
    await settle('seek 0 to 10');
    await member.deliver(0, ['x', 'y']);
    await settle('committed 0 to 12');
  });

  it('fails when nothing is fetched although the partition has more', async () => {
    const { runner, member, failures } = setUp({ stallTimeoutMs: 30 });
    await runner.start();
    member.handlers.assigned([0]);
    await expect.poll(() => failures, { timeout: 2_000 }).toHaveLength(1);
    expect(String(failures[0])).toMatch(/nothing was fetched of t partition 0/);
  });
});
