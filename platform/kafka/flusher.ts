// One flush: dead letters, then effects and offset in one transaction; waits out outages, halves a batch to find a poison record.
import { setTimeout as sleep } from 'node:timers/promises';
import { classifyError, describeError, FatalError } from '#platform/errors.ts';
import type { DeadLetterPublisher } from '#platform/kafka/dead-letters.ts';
import { type OffsetStore, OwnershipLostError } from '#platform/kafka/postgres-offsets.ts';
import type { DecodedRecord, RejectedRecord } from '#platform/kafka/record.ts';
import { type RetryPolicy, retryDelayMs } from '#platform/kafka/retry-policy.ts';
import type { RunnerMetrics } from '#platform/kafka/runner-metrics.ts';
import type { Batch, Sink, WriteResult } from '#platform/kafka/sink.ts';
import { traceFlush } from '#platform/kafka/trace-records.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Tracing } from '#platform/telemetry/tracing.ts';

export type FlusherDeps<T, P> = {
  offsets: OffsetStore;
  pool: Pool;
  sink: Sink<T, P>;
  publishDeadLetters: DeadLetterPublisher;
  metrics: RunnerMetrics;
  tracing: Tracing;
  groupId: string;
  log: Logger;
  random: () => number;
  retry: RetryPolicy;
};

export type Flusher<T> = {
  /**
   * Resolves when every record of the batch has its outcome and the position has moved to the end of the batch, or with
   * `abandoned` when `stillOwned` turned false while it waited.
   * @throws OwnershipLostError when another member has moved the position; FatalError when going on could lose data.
   */
  flush(batch: Batch<T>, stillOwned: () => boolean): Promise<'done' | 'abandoned'>;
};

export function createFlusher<T, P>(deps: FlusherDeps<T, P>): Flusher<T> {
  const { sink, metrics, log } = deps;

  const writeOnce = async (batch: Batch<T>): Promise<WriteResult> => {
    const prepared = (await sink.prepare?.(batch)) as P;
    return inTransaction(deps.pool, async (tx) => {
      // The fence comes first: a second owner waits here for the row, and learns before it did any work that it is too late.
      await deps.offsets.advance(tx, batch.partition, batch.firstOffset, batch.nextOffset);
      const result = await sink.write(tx, batch, prepared);
      const accounted = result.written + result.duplicates + result.rejected.length;
      if (accounted !== batch.records.length) {
        throw new FatalError(`the sink accounts for ${accounted} of ${batch.records.length} records`, {
          code: 'unexpected',
        });
      }
      await deps.publishDeadLetters(result.rejected);
      // Commit point: effects and offset become durable together when this function returns.
      return result;
    });
  };

  const halves = (batch: Batch<T>): [Batch<T>, Batch<T>] => {
    const middle = batch.records[Math.floor(batch.records.length / 2)]!.record.offset;
    const before = ({ record }: { record: { offset: bigint } }): boolean => record.offset < middle;
    return [
      { ...batch, nextOffset: middle, records: batch.records.filter(before), rejected: batch.rejected.filter(before) },
      {
        ...batch,
        firstOffset: middle,
        records: batch.records.filter((entry) => !before(entry)),
        rejected: batch.rejected.filter((entry) => !before(entry)),
      },
    ];
  };

  const toPoison = ({ record }: DecodedRecord<T>, error: unknown): RejectedRecord => ({
    record,
    rejection: { stage: 'sink', reason: 'poison', error: describeError(error) },
  });

  /** `unsent`: rejected records of the batch whose dead letters are not on Kafka yet. */
  const flush = async (
    batch: Batch<T>,
    unsent: readonly RejectedRecord[],
    stillOwned: () => boolean,
  ): Promise<'done' | 'abandoned'> => {
    let toPublish = unsent;
    for (let attempt = 1; ; attempt += 1) {
      if (!stillOwned()) return 'abandoned';
      const stop = metrics.startFlush();
      try {
        // A dead letter must be safe before the offset moves past its record; a repeat after a crash is harmless.
        await deps.publishDeadLetters(toPublish);
        toPublish = [];
        const result = await writeOnce(batch);
        stop();
        metrics.outcomes(result, batch);
        sink.committed?.(batch);
        return 'done';
      } catch (error) {
        if (error instanceof OwnershipLostError) throw error;
        const kind = classifyError(error);
        if (kind === 'fatal') throw error;
        if (kind === 'retryable') {
          metrics.retried();
          log.warn(
            { partition: batch.partition, offset: batch.firstOffset.toString(), attempt, cause: describeError(error) },
            'flush failed, trying again',
          );
          await sleep(retryDelayMs(deps.retry, attempt, deps.random()));
          continue;
        }
        // The range of a claimed object cannot be halved: its name is the range.
        if (sink.pinnedEnd !== undefined) {
          throw new FatalError(
            `records ${batch.firstOffset} to ${batch.nextOffset} of partition ${batch.partition} cannot be written`,
            {
              code: 'unexpected',
              cause: error,
            },
          );
        }
        if (batch.records.length === 0)
          throw new FatalError('a batch without records was refused', { code: 'unexpected', cause: error });
        const only = batch.records.length === 1 ? toPoison(batch.records[0]!, error) : undefined;
        if (only !== undefined)
          return flush({ ...batch, records: [], rejected: [...batch.rejected, only] }, [only], stillOwned);
        const [first, second] = halves(batch);
        return (await flush(first, [], stillOwned)) === 'abandoned' ? 'abandoned' : flush(second, [], stillOwned);
      }
    }
  };

  const { tracing, groupId } = deps;
  return {
    flush: (batch, stillOwned) =>
      traceFlush({ tracing, groupId, batch }, () => flush(batch, batch.rejected, stillOwned)),
  };
}
