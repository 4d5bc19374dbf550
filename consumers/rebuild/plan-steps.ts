// In which order the objects of the archive are read, so that every partition's records come in offset order; pure.

/** A segment of the manifest and the object that holds its rows now. */
export type SegmentPlace = {
  readonly partition: number;
  readonly firstOffset: bigint;
  readonly lastOffset: bigint;
  readonly dt: string;
  readonly hour: number;
  /** Null when the segment has no rows, or when the retention policy has removed them. */
  readonly objectKey: string | null;
  readonly isExpired: boolean;
};

export type OffsetRange = { readonly partition: number; readonly firstOffset: bigint; readonly lastOffset: bigint };

/** Objects that are read together, and the offset ranges that are taken from them: at most one per partition. */
export type Step = { readonly objectKeys: readonly string[]; readonly ranges: readonly OffsetRange[] };

export type StepPlan = {
  readonly steps: readonly Step[];
  /** Exclusive end of the archive by partition. */
  readonly ends: ReadonlyMap<number, bigint>;
  /** Why the archive cannot be read from these positions on, each in words. */
  readonly problems: readonly string[];
  /** Offsets whose rows the retention policy has removed. */
  readonly expiredOffsets: bigint;
};

function laterOf(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}

/**
 * One step per hour. Append times of a partition may go back a little, when another broker leads it; then its later segments are
 * read with a later hour, never before the ones that precede them.
 *
 * @param positions Where each partition continues; partitions without one begin at their first segment.
 */
export function planSteps(segments: readonly SegmentPlace[], positions: ReadonlyMap<number, bigint>): StepPlan {
  const objectKeys = new Map<string, Set<string>>();
  const ranges = new Map<string, OffsetRange[]>();
  const ends = new Map<number, bigint>();
  const problems: string[] = [];
  let expiredOffsets = 0n;
  for (const [partition, own] of Map.groupBy(segments, (segment) => segment.partition)) {
    const sorted = own.toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1));
    const start = positions.get(partition) ?? sorted[0]!.firstOffset;
    let next = start;
    let latest = '';
    for (const { firstOffset, lastOffset, dt, hour, objectKey, isExpired } of sorted) {
      if (lastOffset < start) continue;
      if (firstOffset > next)
        problems.push(`partition ${partition}: offsets ${next} to ${firstOffset - 1n} are in no segment`);
      const ownHour = `${dt} ${String(hour).padStart(2, '0')}`;
      if (ownHour > latest) latest = ownHour;
      const range = { partition, firstOffset: laterOf(firstOffset, start), lastOffset };
      const inStep = ranges.get(latest) ?? [];
      const before = inStep.at(-1);
      if (before?.partition === partition) inStep[inStep.length - 1] = { ...before, lastOffset };
      else inStep.push(range);
      ranges.set(latest, inStep);
      if (objectKey !== null) objectKeys.set(latest, (objectKeys.get(latest) ?? new Set()).add(objectKey));
      if (isExpired) expiredOffsets += lastOffset - range.firstOffset + 1n;
      next = lastOffset + 1n;
    }
    ends.set(partition, sorted.at(-1)!.lastOffset + 1n);
  }
  for (const [partition, end] of ends) {
    const position = positions.get(partition);
    if (position !== undefined && position > end)
      problems.push(`partition ${partition}: the group is at ${position}, beyond the end ${end} of the archive`);
  }
  const steps = [...ranges]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inStep]) => ({ objectKeys: [...(objectKeys.get(key) ?? [])].sort(), ranges: inStep }));
  return { steps, ends, problems, expiredOffsets };
}
