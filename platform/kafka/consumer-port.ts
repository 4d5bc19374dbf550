// The port to a Kafka consumer group member: everything above it is ours, everything below is a client library.
import type { KafkaRecord } from '#platform/kafka/record.ts';

export type FetchedBatch = {
  readonly partition: number;
  /** Offset that the fetch asked for; records start at or after it. */
  readonly fetchedFrom: bigint;
  readonly records: readonly KafkaRecord[];
  /** Where the next fetch of this partition continues: after control records too. */
  readonly nextOffset: bigint;
  readonly highWatermark: bigint;
};

export type ConsumerHandlers = {
  /** The member has joined: exactly these partitions are its own until the next call or `revoked`. They are paused. */
  assigned(partitions: readonly number[]): void;
  /** A rebalance began: no partition is its own any more. A member that was thrown out may learn it only by the next `assigned`. */
  revoked(): void;
  /**
   * Committed records of one partition, in order; none when only control records were passed over. A position that the log does
   * not have any more continues at the log start: `fetchedFrom` tells. Resolve quickly: the member fetches nothing else meanwhile. Rejecting ends the member. */
  fetched(batch: FetchedBatch): Promise<void>;
  /** The member is gone and will not come back by itself. */
  crashed(error: unknown): void;
};

export type ConsumerMemberOptions = {
  readonly groupId: string;
  readonly topic: string;
  /** The group gives a member up, and its partitions to others, when it was not heard of for so long. */
  readonly sessionTimeoutMs: number;
  /** Name of this member over restarts (static membership): back within the session timeout, it has its partitions at once. */
  readonly instanceId?: string | undefined;
  readonly maxBytesPerPartition?: number;
  /** Longest wait of a fetch for records. */
  readonly maxWaitTimeMs?: number;
};

export type ConsumerMember = {
  start(handlers: ConsumerHandlers): Promise<void>;
  /** The next batch of the partition starts at this offset; batches fetched before are not delivered any more. */
  seek(partition: number, offset: bigint): void;
  pause(partition: number): void;
  resume(partition: number): void;
  /** Tells Kafka where the group is, for tools that look there. The truth is in Postgres. */
  commit(offsets: ReadonlyMap<number, bigint>): Promise<void>;
  /** Leaves the group. */
  stop(): Promise<void>;
};

export type PartitionOffsets = { readonly logStart: bigint; readonly highWatermark: bigint };

/** What the runner asks about the topic itself. */
export type TopicInspector = {
  identity(): Promise<{ clusterId: string; topicId: string }>;
  offsets(): Promise<ReadonlyMap<number, PartitionOffsets>>;
};
