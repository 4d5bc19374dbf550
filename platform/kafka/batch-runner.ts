// The one loop that reads Kafka for every consumer group: buffers, flushes, retries, dead letters, offsets, rebalances, drain.
import { classifyError, describeError, FatalError } from '#platform/errors.ts';
import { createBackpressure } from '#platform/kafka/backpressure.ts';
import type { ConsumerMember, FetchedBatch, TopicInspector } from '#platform/kafka/consumer-port.ts';
import type { DeadLetterPublisher } from '#platform/kafka/dead-letters.ts';
import { createFlusher } from '#platform/kafka/flusher.ts';
import { createLagMeter } from '#platform/kafka/lag-meter.ts';
import { createOwnedPartition, type OwnedPartition } from '#platform/kafka/owned-partition.ts';
import { createPartitionBuffer } from '#platform/kafka/partition-buffer.ts';
import { createPositioner } from '#platform/kafka/positioner.ts';
import { type OffsetStore, OwnershipLostError } from '#platform/kafka/postgres-offsets.ts';
import type { RecordDecoder } from '#platform/kafka/record.ts';
import { defaultRetryPolicy, type RetryPolicy } from '#platform/kafka/retry-policy.ts';
import type { RunnerMetrics } from '#platform/kafka/runner-metrics.ts';
import type { FlushPolicy, Sink } from '#platform/kafka/sink.ts';
import { createStallWatchdog } from '#platform/kafka/stall-watchdog.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Tracing } from '#platform/telemetry/tracing.ts';

export type BatchRunnerConfig = {
  readonly groupId: string;
  readonly topic: string;
  readonly flush: FlushPolicy;
  /** Over all partitions; above it the fullest partition is flushed early and fetching pauses. */
  readonly maxBufferedBytes: number;
  /** Flushes of different partitions that may run at the same time. */
  readonly flushConcurrency: number;
  /** A member that could read and does not for so long ends its process, in ms. */
  readonly stallTimeoutMs: number;
  readonly retry?: RetryPolicy;
  /** How often a member looks whether an operator has paused, resumed or moved the group. */
  readonly lookIntervalMs?: number;
};

export type BatchRunnerDeps<T, P> = {
  member: ConsumerMember;
  inspector: TopicInspector;
  offsets: OffsetStore;
  pool: Pool;
  decoder: RecordDecoder<T>;
  sink: Sink<T, P>;
  publishDeadLetters: DeadLetterPublisher;
  metrics: RunnerMetrics;
  tracing: Tracing;
  log: Logger;
  now: () => number;
  random: () => number;
  /** Called once when the runner cannot go on; the process must then end with a non-zero code. */
  fail: (error: unknown) => void;
};

export type BatchRunner = {
  start(): Promise<void>;
  /** True when the member has joined and every partition it owns is positioned, or held while the group is paused. */
  ready(): boolean;
  partitions(): readonly number[];
  /** Stops intake, flushes what is buffered, tells Kafka where the group is, leaves the group. */
  drain(): Promise<void>;
};

const kafkaCommitIntervalMs = 5_000;
const defaultLookIntervalMs = 2_000;

export function createBatchRunner<T, P>(config: BatchRunnerConfig, deps: BatchRunnerDeps<T, P>): BatchRunner {
  const { member, log, metrics, now } = deps;
  const retry = config.retry ?? defaultRetryPolicy;
  const flusher = createFlusher<T, P>({ ...deps, groupId: config.groupId, retry });
  const owned = new Map<number, OwnedPartition<T>>();
  /** Flushes that still run, also of partitions that were dropped: a partition is positioned only after its last one ended. */
  const inFlight = new Map<number, Promise<void>>();
  let joined = false;
  let draining = false;
  let failed = false;
  let commitTimer: NodeJS.Timeout | undefined;
  let lookTimer: NodeJS.Timeout | undefined;
  const positioner = createPositioner({ ...deps, inFlight, retry });
  const backpressure = createBackpressure<T>({ ...config, owned, member });

  const fail = (error: unknown): void => {
    if (failed) return;
    failed = true;
    for (const partition of owned.values()) drop(partition);
    deps.fail(error);
  };

  const drop = (partition: OwnedPartition<T>): void => {
    partition.phase = 'dropped';
    partition.buffer = undefined;
    clearTimeout(partition.timer);
    owned.delete(partition.id);
    metrics.released(partition.id);
  };

  const position = async (partition: OwnedPartition<T>): Promise<void> => {
    partition.phase = 'positioning';
    partition.buffer = undefined;
    clearTimeout(partition.timer);
    try {
      const found = await positioner.read(partition.id, () => isCurrent(partition));
      if (found === null) return;
      const { stored, pinnedEnd } = found;
      const start = stored.nextOffset;
      partition.stored = stored;
      if (stored.isPaused) {
        partition.phase = 'held';
        log.info(
          { partition: partition.id, offset: start.toString() },
          'partition held: an operator has paused the group',
        );
        return;
      }
      partition.buffer = createPartitionBuffer<T>({
        topic: config.topic,
        partition: partition.id,
        start,
        pinnedEnd,
        decode: deps.decoder.decode,
        startsNewBatch: deps.sink.startsNewBatch,
      });
      partition.phase = 'active';
      partition.paused = false;
      member.seek(partition.id, start);
      member.resume(partition.id);
      log.debug(
        { partition: partition.id, offset: start.toString(), pinnedEnd: pinnedEnd?.toString() },
        'partition positioned',
      );
    } catch (error) {
      fail(error);
    }
  };

  const isCurrent = (partition: OwnedPartition<T>): boolean => !failed && owned.get(partition.id) === partition;

  /** Gives the partition's buffer up and reads its position again: nothing is lost, because nothing of it was committed. */
  const reposition = (partition: OwnedPartition<T>): void => {
    if (!isCurrent(partition)) return;
    member.pause(partition.id);
    partition.paused = true;
    void position(partition);
  };

  let looking = false;
  /** Finds what an operator did to partitions that have nothing to flush, which the fence would tell only with the next record. */
  const lookForMoves = async (): Promise<void> => {
    if (looking || draining) return;
    looking = true;
    const settled = [...owned.values()].filter(
      ({ phase, flushing }) => !flushing && (phase === 'active' || phase === 'held'),
    );
    const expected = new Map(settled.map(({ id, stored }) => [id, stored]));
    const moved = await positioner.findMoved(expected);
    looking = false;
    for (const partition of settled) {
      const isAsBefore = !partition.flushing && partition.stored === expected.get(partition.id);
      if (moved.includes(partition.id) && isAsBefore) reposition(partition);
    }
  };

  const schedule = (partition: OwnedPartition<T>): void => {
    if (!isCurrent(partition) || partition.phase !== 'active' || partition.flushing || partition.buffer === undefined)
      return;
    if (inFlight.size >= config.flushConcurrency) return;
    const oldestMs = partition.buffer.oldestTimestampMs;
    const force = draining || backpressure.isPressedBy(partition);
    const batch = partition.buffer.take(config.flush, now(), { force });
    if (batch === undefined) {
      clearTimeout(partition.timer);
      const due = partition.buffer.dueAtMs(config.flush);
      if (due !== undefined) partition.timer = setTimeout(() => schedule(partition), Math.max(1, due - now()));
      return;
    }
    partition.flushing = true;
    partition.flushingFromMs = oldestMs;
    const run = flusher
      .flush(batch, () => isCurrent(partition))
      .then(
        (outcome) => {
          if (outcome === 'abandoned') return;
          partition.stored = { ...partition.stored, nextOffset: batch.nextOffset };
          partition.flushingFromMs = undefined;
          if (isCurrent(partition)) lagMeter.measure(partition);
        },
        (error: unknown) => {
          if (error instanceof OwnershipLostError) {
            log.warn({ partition: partition.id, cause: error.message }, 'partition given up');
            metrics.ownershipLost();
            // After this promise has left inFlight, so that positioning does not wait for itself.
            setImmediate(() => reposition(partition));
          } else fail(error);
        },
      );
    const settled = run.finally(() => {
      partition.flushing = false;
      partition.flushingFromMs = undefined;
      if (inFlight.get(partition.id) === settled) inFlight.delete(partition.id);
      if (!draining) backpressure.resumeWhereRoom();
      scheduleAll();
    });
    inFlight.set(partition.id, settled);
  };

  const scheduleAll = (): void => {
    // The fullest first, so that a flush slot never waits behind small partitions under pressure.
    const waiting = [...owned.values()].filter(
      (partition) => !partition.flushing && (partition.buffer?.recordCount ?? 0) > 0,
    );
    waiting.sort((a, b) => b.buffer!.byteCount - a.buffer!.byteCount);
    for (const partition of waiting) schedule(partition);
  };

  const fetched = async (batch: FetchedBatch): Promise<void> => {
    const partition = owned.get(batch.partition);
    if (partition === undefined || partition.phase !== 'active' || partition.buffer === undefined || draining) return;
    const buffer = partition.buffer;
    partition.deliveries += 1;
    try {
      if (batch.fetchedFrom > buffer.position) {
        // Control records leave gaps; deleted records do too, and those would be lost in silence.
        const logStart = (await deps.inspector.offsets()).get(batch.partition)!.logStart;
        if (logStart > buffer.position) {
          throw new FatalError(
            `${config.groupId} needs offset ${buffer.position} of ${config.topic} partition ${batch.partition}, but Kafka keeps only from ${logStart} on`,
            { code: 'offset-below-log-start' },
          );
        }
      }
      await deps.decoder.prepare(batch.records);
    } catch (error) {
      if (classifyError(error) !== 'retryable') return fail(error);
      log.warn({ partition: batch.partition, cause: describeError(error) }, 'records cannot be decoded yet');
      return reposition(partition);
    }
    if (partition.buffer !== buffer || !isCurrent(partition)) return;
    partition.highWatermark = batch.highWatermark;
    metrics.fetched(batch);
    buffer.append(batch.records, batch.nextOffset, now());
    backpressure.pauseIfFull(partition);
    if (partition.paused) scheduleAll();
    else schedule(partition);
  };

  const commitToKafka = async (): Promise<void> => {
    const positions = new Map(
      [...owned.values()]
        .filter(({ phase }) => phase === 'active')
        .map(({ id, stored }) => [id, stored.nextOffset] as const),
    );
    if (positions.size === 0) return;
    // Informational: the truth is in Postgres, so a failure changes nothing.
    await member
      .commit(positions)
      .catch((error: unknown) => log.debug({ cause: describeError(error) }, 'Kafka offset commit failed'));
  };

  const watchdog = createStallWatchdog({
    timeoutMs: config.stallTimeoutMs,
    topic: config.topic,
    look: () => ({
      joined,
      wanted: new Map(
        [...owned.values()]
          .filter(({ phase, paused }) => phase === 'active' && !paused && !draining)
          .map(({ id, buffer, deliveries }) => [id, { position: buffer!.position, deliveries }]),
      ),
    }),
    readOffsets: () => deps.inspector.offsets(),
    stalled: fail,
  });

  const lagMeter = createLagMeter({ owned, readOffsets: () => deps.inspector.offsets(), metrics, now });

  return {
    start: async () => {
      await member.start({
        assigned: (partitions) => {
          for (const partition of [...owned.values()]) drop(partition);
          joined = true;
          metrics.rebalanced(partitions.length);
          log.info({ partitions }, 'partitions assigned');
          for (const id of partitions) {
            const partition = createOwnedPartition<T>(id);
            owned.set(id, partition);
            void position(partition);
          }
        },
        revoked: () => {
          joined = false;
          metrics.revoked();
          for (const partition of [...owned.values()]) drop(partition);
        },
        fetched,
        crashed: (error) => fail(new FatalError('the Kafka consumer crashed', { code: 'unexpected', cause: error })),
      });
      commitTimer = setInterval(() => void commitToKafka(), kafkaCommitIntervalMs);
      lookTimer = setInterval(() => void lookForMoves(), config.lookIntervalMs ?? defaultLookIntervalMs);
      lagMeter.start();
      watchdog.start();
    },
    ready: () => joined && !failed && [...owned.values()].every(({ phase }) => phase === 'active' || phase === 'held'),
    partitions: () => [...owned.keys()],
    drain: async () => {
      draining = true;
      clearInterval(commitTimer);
      clearInterval(lookTimer);
      lagMeter.stop();
      watchdog.stop();
      for (const { id } of owned.values()) member.pause(id);
      for (;;) {
        scheduleAll();
        if (inFlight.size === 0) break;
        await Promise.all(inFlight.values());
      }
      await commitToKafka();
      await member.stop();
      for (const partition of [...owned.values()]) drop(partition);
    },
  };
}
