// One partition that a member owns: what phase it is in, what it holds, where the group stands.
import type { PartitionBuffer } from '#platform/kafka/partition-buffer.ts';
import type { Position } from '#platform/kafka/postgres-offsets.ts';

/**
 * A partition's life in this member:
 *   positioning: paused; its position is being read from Postgres. Entered on assignment and when somebody else moved it.
 *   held:        paused; an operator has paused the group. Left for positioning when the group is resumed.
 *   active:      fetched records are decoded into the buffer; flushes move the position. At most one flush at a time.
 *   dropped:     revoked. The buffer is discarded; a running flush may finish, and the offset fence decides whether it counts.
 */
export type OwnedPartition<T> = {
  readonly id: number;
  phase: 'positioning' | 'held' | 'active' | 'dropped';
  buffer: PartitionBuffer<T> | undefined;
  flushing: boolean;
  /** Broker time of the first record of the running flush, in ms. */
  flushingFromMs: number | undefined;
  paused: boolean;
  timer: NodeJS.Timeout | undefined;
  /** Where the group is in Postgres, as far as this member knows. */
  stored: Position;
  highWatermark: bigint;
  /** How often records were delivered, used or not. */
  deliveries: number;
};

const unknownPosition: Position = { nextOffset: 0n, revision: 0n, isPaused: false };

/** As it is right after the assignment: paused by the member, its position not read yet. */
export function createOwnedPartition<T>(id: number): OwnedPartition<T> {
  return {
    id,
    phase: 'positioning',
    buffer: undefined,
    flushing: false,
    flushingFromMs: undefined,
    paused: true,
    timer: undefined,
    stored: unknownPosition,
    highWatermark: 0n,
    deliveries: 0,
  };
}
