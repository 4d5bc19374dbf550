// Brings what a group writes back from the archive: its own sink, flushes and positions, with the archive in the place of Kafka.
import { FatalError } from '#platform/errors.ts';
import { createBatchRunner } from '#platform/kafka/batch-runner.ts';
import { createOffsetStore } from '#platform/kafka/postgres-offsets.ts';
import type { DecodeResult, KafkaRecord } from '#platform/kafka/record.ts';
import { createRunnerMetrics } from '#platform/kafka/runner-metrics.ts';
import type { FlushPolicy, Sink } from '#platform/kafka/sink.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { tracingOff } from '#platform/telemetry/tracing.ts';
import type { EventRecord } from '#schemas/generated/records.ts';
import { createArchiveMember } from './archive-member.ts';
import { createArchivedDecoder, readStep } from './archived-records.ts';
import { listSegmentPlaces, readStarts } from './manifest-places.ts';
import { planSteps } from './plan-steps.ts';

export type RebuildDeps<P> = {
  pool: Pool;
  objectStore: Pick<ObjectStore, 'get'>;
  groupId: string;
  topic: string;
  /** Which log the archived offsets are of: that of the running cluster. */
  identity: { clusterId: string; topicId: string };
  parse: (value: unknown, record: KafkaRecord) => DecodeResult<EventRecord>;
  sink: Sink<EventRecord, P>;
  flush: FlushPolicy & { maxBufferedBytes: number; concurrency: number };
  log: Logger;
  onProgress?: (text: string) => void;
};

export type RebuildReport = {
  readonly groupId: string;
  readonly records: number;
  readonly written: number;
  readonly duplicates: number;
  /** Records that the sink refuses; their dead letters were published when they were first read. */
  readonly rejected: number;
  readonly expiredOffsets: bigint;
  readonly positions: Readonly<Record<number, { from: bigint; to: bigint }>>;
};

/** A step may take long to download, and nothing is delivered meanwhile. */
const stallTimeoutMs = 3_600_000;

/**
 * Reads from where the group is to the end of the archive. Killed and started again it goes on from its last flush; a member of the
 * group that runs beside it is fenced off, or fences it off, by the positions.
 * @throws FatalError when offsets are missing, when the group is paused or beyond the archive, or was moved meanwhile.
 */
export async function rebuildGroup<P>(deps: RebuildDeps<P>): Promise<RebuildReport> {
  const { pool, groupId, topic, log } = deps;
  const places = await listSegmentPlaces(pool, topic);
  if (places.length === 0) throw new FatalError(`the manifest has nothing of ${topic}`, { code: 'config-invalid' });
  const stored = await readStarts(pool, groupId, topic);
  if ([...stored.values()].some(({ isPaused }) => isPaused))
    throw new FatalError(`${groupId} is paused: resume it first`, { code: 'config-invalid' });
  const { steps, ends, problems, expiredOffsets } = planSteps(
    places,
    new Map([...stored].map(([partition, { nextOffset }]) => [partition, nextOffset])),
  );
  if (problems.length > 0) throw new FatalError(problems.join('; '), { code: 'config-invalid' });
  const firsts = new Map<number, bigint>();
  for (const { partition, firstOffset } of places) {
    const known = firsts.get(partition);
    if (known === undefined || firstOffset < known) firsts.set(partition, firstOffset);
  }
  const starts = new Map(
    [...ends.keys()].map((partition) => [partition, stored.get(partition)?.nextOffset ?? firsts.get(partition)!]),
  );

  const offsets = createOffsetStore({
    pool,
    groupId,
    topic,
    inspector: {
      identity: async () => deps.identity,
      offsets: async () =>
        new Map(
          [...ends].map(([partition, end]) => [partition, { logStart: firsts.get(partition)!, highWatermark: end }]),
        ),
    },
  });
  const member = createArchiveMember({
    starts,
    ends,
    steps,
    readStep: (step) => readStep(deps, step),
    onStep: (done) => deps.onProgress?.(`${groupId}: ${done} of ${steps.length} hours`),
  });
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined);
  const metrics = createMetrics({ service: groupId });
  const runner = createBatchRunner<EventRecord, P>(
    {
      groupId,
      topic,
      flush: deps.flush,
      maxBufferedBytes: deps.flush.maxBufferedBytes,
      flushConcurrency: deps.flush.concurrency,
      stallTimeoutMs,
    },
    {
      member,
      inspector: { identity: async () => deps.identity, offsets: async () => new Map() },
      offsets,
      pool,
      decoder: createArchivedDecoder(deps.parse),
      sink: deps.sink,
      // They are on Kafka since the record was first read.
      publishDeadLetters: async () => undefined,
      metrics: createRunnerMetrics(metrics, { partitionCount: 0 }),
      tracing: tracingOff,
      log,
      now: Date.now,
      random: Math.random,
      fail: failed.reject,
    },
  );
  await runner.start();
  await Promise.race([member.delivered, failed.promise]);
  await Promise.race([runner.drain(), failed.promise]);
  await finishPositions(deps, member.reached, ends);
  const outcomes = await metrics.registry.getSingleMetric('consumer_records_total')!.get();
  const countOf = (outcome: string): number =>
    outcomes.values.find(({ labels }) => labels.outcome === outcome)?.value ?? 0;
  const [written, duplicates, rejected] = [countOf('written'), countOf('duplicate'), countOf('dead_lettered')];
  return {
    groupId,
    records: written + duplicates + rejected,
    written,
    duplicates,
    rejected,
    expiredOffsets,
    positions: Object.fromEntries(
      [...starts].map(([partition, from]) => [partition, { from, to: ends.get(partition)! }]),
    ),
  };
}

/**
 * The last offsets of a partition may have no rows, so that no flush moves past them.
 * @throws FatalError when a flush is missing: somebody else has moved a position.
 */
async function finishPositions(
  deps: Pick<RebuildDeps<never>, 'pool' | 'groupId' | 'topic'>,
  reached: ReadonlyMap<number, bigint>,
  ends: ReadonlyMap<number, bigint>,
): Promise<void> {
  const partitions = [...ends.keys()];
  const finished = await deps.pool.query(
    `UPDATE exp.consumer_offsets o SET next_offset = e.end_offset, updated_at = now()
     FROM unnest($3::int[], $4::bigint[], $5::bigint[]) AS e (kafka_partition, reached, end_offset)
     WHERE o.consumer_group = $1 AND o.topic = $2 AND o.kafka_partition = e.kafka_partition
       AND o.next_offset BETWEEN e.reached AND e.end_offset AND o.paused_at IS NULL`,
    [
      deps.groupId,
      deps.topic,
      partitions,
      partitions.map((id) => reached.get(id)),
      partitions.map((id) => ends.get(id)),
    ],
  );
  if (finished.rowCount !== partitions.length) {
    throw new FatalError(
      `${deps.groupId} was moved or paused while it was rebuilt: run the rebuild again, it goes on from where the group is`,
      { code: 'ownership-lost' },
    );
  }
}
