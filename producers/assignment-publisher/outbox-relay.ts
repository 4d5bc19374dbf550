// Publishes an outbox to Kafka from one process at a time: a lock chooses the process, an epoch fences one that lost the lock.
import { setTimeout as sleep } from 'node:timers/promises';
import { classifyError, describeError, RetryableError } from '#platform/errors.ts';
import type { RecordProducer } from '#platform/kafka/record-producer.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';
import { trySessionLock } from '#platform/postgres/session-lock.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Outbox } from './outbox.ts';
import type { RelayMetrics } from './relay-metrics.ts';

/** First number of the two-part advisory lock; the second one is the outbox's. */
const lockSpace = 7_160_020;
const purgeLimit = 5_000;

export type OutboxRelayConfig = {
  batchRecords: number;
  /** Wait between looks at an empty outbox; `wake` ends it early. */
  idleMs: number;
  /** Wait before a process without the lock tries to take it. */
  takeOverMs: number;
  /** Longest wait after a failed attempt; the first one is a tenth. */
  maxBackoffMs: number;
  purgeIntervalMs: number;
};

export const defaultRelayConfig: OutboxRelayConfig = {
  batchRecords: 1_000,
  idleMs: 100,
  takeOverMs: 1_000,
  maxBackoffMs: 5_000,
  purgeIntervalMs: 60_000,
};

export type OutboxRelay = {
  /** Says that there may be new rows. */
  wake(): void;
  /** Finishes the batch in flight and gives the lock away. */
  [Symbol.asyncDispose](): Promise<void>;
};

type RelayDeps = {
  outbox: Outbox;
  /** Holds one connection while this process has the lock. */
  pool: Pool;
  producer: Pick<RecordProducer, 'send'>;
  log: Logger;
  metrics: RelayMetrics;
  /** Shown in exp.outbox_relays. */
  owner: string;
  config?: Partial<OutboxRelayConfig>;
};

/**
 * Runs until disposed. States: *waiting* (another process has the lock, or Postgres is away), *leading* (this session holds the
 * advisory lock and its epoch is in exp.outbox_relays), *stopped*. While leading: read unpublished rows, send, wait for the acks,
 * mark under the epoch. A crash between ack and mark publishes the same rows again, which is harmless: readers keep the last record
 * of a key. A process that sent a batch and then finds itself fenced may have overwritten something newer, so it puts the keys
 * of that batch into the outbox again.
 */
export function startOutboxRelay(deps: RelayDeps): OutboxRelay {
  const { outbox, pool, producer, metrics } = deps;
  const config = { ...defaultRelayConfig, ...deps.config };
  const log = deps.log.child({ relay: outbox.relay });
  const stop = new AbortController();
  let wakeUp = Promise.withResolvers<void>();
  /** Rows sent by this process whose marking is not known to have happened under its own epoch. */
  let unconfirmed: readonly bigint[] = [];

  const rest = async (ms: number): Promise<void> => {
    const timer = new AbortController();
    const ended = AbortSignal.any([stop.signal, timer.signal]);
    await Promise.race([sleep(ms, undefined, { signal: ended }).catch(() => undefined), wakeUp.promise]);
    timer.abort();
    wakeUp = Promise.withResolvers<void>();
  };
  const waitQuietly = (ms: number): Promise<unknown> =>
    sleep(ms, undefined, { signal: stop.signal }).catch(() => undefined);

  const advanceEpoch = async (connection: PoolClient): Promise<bigint | null> => {
    const { rows } = await connection.query<{ epoch: bigint }>(
      'UPDATE exp.outbox_relays SET epoch = epoch + 1, owner = $2, updated_at = now() WHERE relay = $1 RETURNING epoch',
      [outbox.relay, deps.owner],
    );
    return rows[0]?.epoch ?? null;
  };

  /** Returns how many rows were published, or null when another relay has taken over. */
  const publishBatch = async (connection: PoolClient, epoch: bigint): Promise<number | null> => {
    const { ids, records } = await outbox.readBatch(connection, config.batchRecords);
    if (ids.length === 0) return 0;
    unconfirmed = ids;
    await producer.send(outbox.topic, records);
    // Commit point: the acks are in; from here the rows count as published.
    if (!(await outbox.markPublished(connection, ids, epoch))) return null;
    unconfirmed = [];
    metrics.published.inc({ relay: outbox.relay }, records.length);
    return ids.length;
  };

  const lead = async (connection: PoolClient, epoch: bigint): Promise<void> => {
    let backoffMs = config.maxBackoffMs / 10;
    let purgeAtMs = Date.now();
    let measureAtMs = Date.now();
    while (!stop.signal.aborted) {
      if (Date.now() >= measureAtMs) {
        measureAtMs = Date.now() + 1_000;
        metrics.setDepth(outbox.relay, await outbox.depth(connection));
      }
      if (Date.now() >= purgeAtMs) {
        const purged = await outbox.purge(connection, purgeLimit);
        if (purged < purgeLimit) purgeAtMs = Date.now() + config.purgeIntervalMs;
      }
      try {
        const published = await publishBatch(connection, epoch);
        if (published === null) {
          log.warn({ epoch: String(epoch) }, 'another relay has taken over');
          return;
        }
        backoffMs = config.maxBackoffMs / 10;
        if (published < config.batchRecords) await rest(config.idleMs);
      } catch (error) {
        if (!(error instanceof RetryableError)) throw error;
        // Kafka or the registry is away: the rows wait, and this process stays the one that publishes them.
        metrics.failures.inc({ relay: outbox.relay });
        log.warn({ cause: describeError(error), backoffMs }, 'outbox rows wait');
        await waitQuietly(backoffMs);
        backoffMs = Math.min(backoffMs * 2, config.maxBackoffMs);
      }
    }
  };

  const repeatUnconfirmed = async (): Promise<void> => {
    if (unconfirmed.length === 0) return;
    await outbox.repeat(pool, unconfirmed);
    log.info({ rows: unconfirmed.length }, 'rows of an unfinished batch are published again');
    unconfirmed = [];
  };

  const tryToLead = async (): Promise<void> => {
    await repeatUnconfirmed();
    await trySessionLock(pool, [lockSpace, outbox.lockId], async (connection) => {
      const epoch = await advanceEpoch(connection);
      if (epoch === null) return;
      log.info({ epoch: String(epoch) }, 'this process publishes the outbox');
      metrics.leading.set({ relay: outbox.relay }, 1);
      try {
        await lead(connection, epoch);
      } finally {
        metrics.leading.set({ relay: outbox.relay }, 0);
        metrics.forgetDepth(outbox.relay);
      }
    });
  };

  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        await tryToLead();
      } catch (error) {
        metrics.failures.inc({ relay: outbox.relay });
        const failure = { cause: describeError(error) };
        if (classifyError(error) === 'fatal') log.error(failure, 'the outbox cannot be published');
        else log.warn(failure, 'the outbox relay starts over');
      }
      await waitQuietly(config.takeOverMs);
    }
  };
  const running = run();

  return {
    wake: () => wakeUp.resolve(),
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}
