// Notices a member that could read and does not: client libraries have been seen to stop fetching without any error.
import { FatalError } from '#platform/errors.ts';
import type { PartitionOffsets } from '#platform/kafka/consumer-port.ts';
import { createRepeater } from '#platform/process/repeater.ts';

/** Where a partition was fetched up to, and how often records of it were delivered: also those that could not be used yet. */
export type Reading = { readonly position: bigint; readonly deliveries: number };

/** What the watchdog looks at: is the member in its group, and what comes of the partitions that it wants to read. */
export type ReadingState = {
  readonly joined: boolean;
  /** Partitions that are neither paused nor waiting for something else than Kafka. */
  readonly wanted: ReadonlyMap<number, Reading>;
};

const checksPerTimeout = 3;

/**
 * Counts checks and not time: a process that was frozen for minutes and goes on has been seen once, not stalled for minutes.
 * A check of which Kafka did not answer proves nothing and starts the counting again.
 *
 * @param timeoutMs a member that made no progress for so long, although Kafka answers and has more, is stalled.
 * @param stalled is called with the reason, once.
 */
export function createStallWatchdog(options: {
  timeoutMs: number;
  topic: string;
  look: () => ReadingState;
  readOffsets: () => Promise<ReadonlyMap<number, PartitionOffsets>>;
  stalled: (error: FatalError) => void;
}) {
  const { topic, look, readOffsets } = options;
  const intervalMs = options.timeoutMs / checksPerTimeout;
  let before: ReadingState = { joined: true, wanted: new Map() };
  let outsideFor = 0;
  const standingFor = new Map<number, number>();

  const stalled = (what: string): void =>
    options.stalled(
      new FatalError(
        `${what} for about ${options.timeoutMs / 1000} s, although Kafka answers: the client has stalled, a new process is needed`,
        { code: 'deadline-exceeded' },
      ),
    );

  const forget = (): void => {
    outsideFor = 0;
    standingFor.clear();
  };

  /** Compares with the check before. Public for tests; the timer calls it. */
  const check = async (): Promise<void> => {
    const now = look();
    const unmoved = [...now.wanted].filter(([id, { deliveries }]) => before.wanted.get(id)?.deliveries === deliveries);
    before = now;
    if (now.joined && unmoved.length === 0) return forget();
    const offsets = await readOffsets().catch(() => undefined);
    if (offsets === undefined) return forget();
    outsideFor = now.joined ? 0 : outsideFor + 1;
    if (outsideFor >= checksPerTimeout) return stalled(`the member has not been in its group of ${topic}`);
    const behind = new Set(
      unmoved.filter(([id, { position }]) => (offsets.get(id)?.highWatermark ?? 0n) > position).map(([id]) => id),
    );
    for (const id of standingFor.keys()) if (!behind.has(id)) standingFor.delete(id);
    for (const id of behind) standingFor.set(id, (standingFor.get(id) ?? 0) + 1);
    const longest = [...standingFor].filter(([, checks]) => checks >= checksPerTimeout).map(([id]) => id);
    if (longest.length > 0) stalled(`nothing was fetched of ${topic} partition ${longest.join(', ')}`);
  };

  return { check, ...createRepeater(check, intervalMs) };
}
