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
  /** A rebalance began: no partition is its own any more. */
  revoked(): void;
  /** Records of one partition, in order. Resolve quickly: the member fetches nothing else meanwhile. Rejecting ends the member. */
  fetched(batch: FetchedBatch): Promise<void>;
  /** The member is gone and will not come back by itself. */
  crashed(error: unknown): void;
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
