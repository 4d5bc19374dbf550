// What every consumer group reports about its work; `consumed = written + duplicate + dead_lettered` must hold.
import type { FetchedBatch } from '#platform/kafka/consumer-port.ts';
import { partitionOfKey } from '#platform/kafka/key-partitioner.ts';
import type { Batch, WriteResult } from '#platform/kafka/sink.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import { deadLetterReasons } from '#schemas/dead-letter-reasons.ts';

export type RunnerMetrics = {
  fetched(batch: FetchedBatch): void;
  /** Returns the function that ends the measured time of one attempt. */
  startFlush(): () => void;
  outcomes<T>(result: WriteResult, batch: Batch<T>): void;
  /** `seconds`: age of the oldest record of the partition that is not committed; 0 when there is none. */
  behind(partition: number, lag: bigint, seconds: number): void;
  released(partition: number): void;
  retried(): void;
  rebalanced(partitionCount: number): void;
  /** A rebalance began: no partition is the member's own. */
  revoked(): void;
  /** Partitions that are held because an operator has paused the group. */
  held(partitionCount: number): void;
  ownershipLost(): void;
};

/** @param partitionCount of the topic, to notice records that another partitioner put elsewhere; 0 turns that off. */
export function createRunnerMetrics(metrics: Metrics, options: { partitionCount: number }): RunnerMetrics {
  const consumed = metrics.counter('consumer_consumed_records_total', 'Records whose outcome is durable');
  const records = metrics.counter('consumer_records_total', 'Records by outcome', ['outcome']);
  const deadLetters = metrics.counter('consumer_dead_letters_total', 'Dead letters by reason', ['reason']);
  const misplaced = metrics.counter(
    'consumer_misplaced_records_total',
    'Records whose key belongs to another partition',
  );
  const lag = metrics.gauge('consumer_lag_records', 'Records behind the high watermark', ['partition']);
  const lagSeconds = metrics.gauge('consumer_lag_seconds', 'Age of the oldest record that is not committed', [
    'partition',
  ]);
  const flushes = metrics.histogram('consumer_flush_duration_seconds', 'Time of one flush attempt');
  const retries = metrics.counter('consumer_flush_retries_total', 'Flush attempts that failed and were tried again');
  const rebalances = metrics.counter('consumer_rebalances_total', 'Times the member was given partitions');
  const owned = metrics.gauge('consumer_partitions', 'Partitions this member owns');
  const held = metrics.gauge('consumer_held_partitions', 'Of these, partitions held because the group is paused');
  const ofTopic = metrics.gauge('consumer_topic_partitions', 'Partitions of the topic that the group reads');
  const lost = metrics.counter(
    'consumer_ownership_lost_total',
    'Flushes fenced off because another member had moved the position',
  );

  ofTopic.set(options.partitionCount);
  // There from the start: the first increase of a series that was not there before is invisible to Prometheus.
  for (const outcome of ['written', 'duplicate', 'dead_lettered']) records.inc({ outcome }, 0);
  for (const reason of Object.keys(deadLetterReasons)) deadLetters.inc({ reason }, 0);
  return {
    fetched: (batch) => {
      if (options.partitionCount === 0) return;
      for (const record of batch.records) {
        if (record.key !== null && partitionOfKey(record.key, options.partitionCount) !== record.partition)
          misplaced.inc();
      }
    },
    startFlush: () => flushes.startTimer(),
    outcomes: (result, batch) => {
      const rejected = [...batch.rejected, ...result.rejected];
      consumed.inc(batch.records.length + batch.rejected.length);
      records.inc({ outcome: 'written' }, result.written);
      records.inc({ outcome: 'duplicate' }, result.duplicates);
      records.inc({ outcome: 'dead_lettered' }, rejected.length);
      for (const { rejection } of rejected) deadLetters.inc({ reason: rejection.reason });
    },
    behind: (partition, count, seconds) => {
      lag.set({ partition }, Number(count));
      lagSeconds.set({ partition }, seconds);
    },
    released: (partition) => {
      lag.remove({ partition });
      lagSeconds.remove({ partition });
    },
    retried: () => retries.inc(),
    rebalanced: (partitionCount) => {
      rebalances.inc();
      owned.set(partitionCount);
    },
    revoked: () => owned.set(0),
    held: (partitionCount) => held.set(partitionCount),
    ownershipLost: () => lost.inc(),
  };
}
