// Where a replay sets each partition of a group back to, and what that means for the group; pure.
import type { PartitionOffsets } from '#platform/kafka/consumer-port.ts';
import type { ConsumerGroupName } from '#schemas/topics.ts';

/** What happens to records that a group reads again; a group that must not read again says why. */
export const replayMeaning: Readonly<
  Record<ConsumerGroupName, { readonly refusal?: string; readonly meaning: string }>
> = {
  'postgres-sink': {
    meaning: 'stored events are found by their identity and count as duplicates; missing ones are stored',
  },
  'metrics-aggregator': {
    meaning:
      'counted events are found by their claims and change nothing; missing ones count. To correct aggregates use "ops reconcile"',
  },
  'dataset-builder': {
    meaning: 'each plan takes its earliest request and its latest reaction again, which gives the same training rows',
  },
  'parquet-archiver': {
    meaning: 'its ranges are in the manifest already',
    refusal:
      'the archive has these offsets: another read would claim them twice. "ops archive verify" says whether something is missing',
  },
};

export type ReplayStart =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'offset'; readonly offset: bigint }
  | { readonly kind: 'time'; readonly time: Date };

export type PartitionReplay = {
  readonly partition: number;
  readonly from: bigint;
  readonly to: bigint;
  /** Offsets that will be read again; negative when unread ones would be skipped. */
  readonly again: bigint;
};

export type ReplayPlan = {
  readonly partitions: readonly PartitionReplay[];
  /** Why the plan must not be applied, each in words. */
  readonly problems: readonly string[];
};

/**
 * @param targets Where each wanted partition would continue.
 * @param positions Where the group is now.
 */
export function planReplay(options: {
  targets: ReadonlyMap<number, bigint>;
  positions: ReadonlyMap<number, bigint>;
  offsets: ReadonlyMap<number, PartitionOffsets>;
  allowSkip: boolean;
}): ReplayPlan {
  const problems: string[] = [];
  const partitions: PartitionReplay[] = [];
  for (const [partition, target] of [...options.targets].sort(([a], [b]) => a - b)) {
    const range = options.offsets.get(partition);
    const position = options.positions.get(partition);
    if (range === undefined) problems.push(`partition ${partition} does not exist`);
    else if (position === undefined) problems.push(`partition ${partition}: the group has no position there yet`);
    else if (target < range.logStart) {
      problems.push(
        `partition ${partition}: offset ${target} is gone, Kafka keeps only from ${range.logStart}; see "ops rebuild"`,
      );
    } else if (target > range.highWatermark) {
      problems.push(`partition ${partition}: offset ${target} is beyond the end ${range.highWatermark}`);
    } else {
      const again = position - target;
      if (again < 0n && !options.allowSkip) {
        problems.push(
          `partition ${partition}: ${-again} unread records from ${position} on would be skipped; --allow-skip does that`,
        );
      }
      partitions.push({ partition, from: position, to: target, again });
    }
  }
  return { partitions, problems };
}
