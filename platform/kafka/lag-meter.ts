// How far the owned partitions are behind, also while nothing moves: looked at on a timer, not only at commits.
import type { PartitionOffsets } from '#platform/kafka/consumer-port.ts';
import type { OwnedPartition } from '#platform/kafka/owned-partition.ts';
import type { RunnerMetrics } from '#platform/kafka/runner-metrics.ts';
import { createRepeater } from '#platform/process/repeater.ts';

type MeasuredPartition = Pick<OwnedPartition<unknown>, 'id' | 'phase' | 'stored' | 'flushingFromMs'> & {
  highWatermark: bigint;
  readonly buffer: { readonly oldestTimestampMs: number | undefined } | undefined;
};

const intervalMs = 15_000;

/**
 * Lag in records: end of the log minus stored position. Lag in seconds: age, by the broker's clock, of the oldest record that is
 * held and not committed; where none is held (Kafka is slow, or the group is paused), the time since the partition was seen to be
 * behind. While Kafka does not answer, the ends are those of the last fetch, and the seconds go on.
 */
export function createLagMeter(options: {
  owned: ReadonlyMap<number, MeasuredPartition>;
  readOffsets: () => Promise<ReadonlyMap<number, PartitionOffsets>>;
  metrics: Pick<RunnerMetrics, 'behind' | 'held'>;
  now: () => number;
}) {
  const { owned, metrics, now } = options;
  const behindSinceMs = new Map<number, number>();

  /** Says where a partition stands; called after each commit too. */
  const measure = (partition: MeasuredPartition): void => {
    const { id, stored, buffer, flushingFromMs } = partition;
    const lag = partition.highWatermark - stored.nextOffset;
    if (lag <= 0n) {
      behindSinceMs.delete(id);
      metrics.behind(id, 0n, 0);
      return;
    }
    const since = behindSinceMs.get(id) ?? now();
    behindSinceMs.set(id, since);
    const oldestMs = flushingFromMs ?? buffer?.oldestTimestampMs ?? since;
    metrics.behind(id, lag, Math.max(0, (now() - oldestMs) / 1000));
  };

  /** Public for tests; the timer calls it. */
  const look = async (): Promise<void> => {
    const ends = await options.readOffsets().catch(() => undefined);
    for (const id of behindSinceMs.keys()) if (!owned.has(id)) behindSinceMs.delete(id);
    const positioned = [...owned.values()].filter(({ phase }) => phase === 'active' || phase === 'held');
    metrics.held(positioned.filter(({ phase }) => phase === 'held').length);
    for (const partition of positioned) {
      const end = ends?.get(partition.id)?.highWatermark ?? 0n;
      if (end > partition.highWatermark) partition.highWatermark = end;
      measure(partition);
    }
  };

  return { measure, look, ...createRepeater(look, intervalMs) };
}
