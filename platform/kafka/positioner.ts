// Reads where a group continues in a partition, and notices when somebody else has moved or paused it since.
import { setTimeout as sleep } from 'node:timers/promises';
import { classifyError, describeError } from '#platform/errors.ts';
import type { OffsetStore, Position } from '#platform/kafka/postgres-offsets.ts';
import { type RetryPolicy, retryDelayMs } from '#platform/kafka/retry-policy.ts';
import type { Sink } from '#platform/kafka/sink.ts';
import type { Logger } from '#platform/telemetry/logger.ts';

export type PositionerDeps = {
  offsets: OffsetStore;
  sink: Pick<Sink<never>, 'pinnedEnd' | 'forget'>;
  /** The flush of each partition that still runs, also of partitions that were dropped. */
  inFlight: ReadonlyMap<number, Promise<void>>;
  retry: RetryPolicy;
  random: () => number;
  log: Logger;
};

export type FoundPosition = { readonly stored: Position; readonly pinnedEnd: bigint | null };

export type Positioner = {
  /**
   * Waits for the partition's last flush and for dependencies that are away; null as soon as `isWanted` turns false.
   * @throws what no later attempt would cure.
   */
  read(partition: number, isWanted: () => boolean): Promise<FoundPosition | null>;
  /** Those of the partitions whose stored position is not the expected one; none while Postgres is away. */
  findMoved(expected: ReadonlyMap<number, Position>): Promise<readonly number[]>;
};

export function createPositioner(deps: PositionerDeps): Positioner {
  const { offsets, sink, inFlight, log } = deps;
  let knownRevision: bigint | undefined;
  let forgotten: Promise<void> = Promise.resolve();

  /** What the sink remembers is of the revision before: it goes once no flush can add to it, and before any other begins. */
  const learn = (revision: bigint): Promise<void> => {
    if (knownRevision !== undefined && revision > knownRevision) {
      forgotten = Promise.all([forgotten, ...inFlight.values()]).then(() => sink.forget?.());
    }
    if (knownRevision === undefined || revision > knownRevision) knownRevision = revision;
    return forgotten;
  };

  return {
    read: async (partition, isWanted) => {
      for (let attempt = 1; isWanted(); attempt += 1) {
        try {
          await inFlight.get(partition);
          const stored = (await offsets.load([partition])).get(partition)!;
          await learn(stored.revision);
          const pinnedEnd = (await sink.pinnedEnd?.(partition, stored.nextOffset)) ?? null;
          return isWanted() ? { stored, pinnedEnd } : null;
        } catch (error) {
          if (classifyError(error) !== 'retryable') throw error;
          log.warn({ partition, attempt, cause: describeError(error) }, 'partition cannot be positioned yet');
          await sleep(retryDelayMs(deps.retry, attempt, deps.random()));
        }
      }
      return null;
    },
    findMoved: async (expected) => {
      try {
        return await offsets.findMoved(expected);
      } catch (error) {
        // The next look comes soon, and every flush is fenced anyway.
        log.debug({ cause: describeError(error) }, 'positions cannot be looked at');
        return [];
      }
    },
  };
}
