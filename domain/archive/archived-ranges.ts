// Offset ranges that an archive file stands for, as it says itself in its metadata; pure.

/** Offsets of one partition, inclusive, with what became of their records. Fewer records than offsets: some were control records. */
export type ArchivedRange = {
  readonly partition: number;
  readonly firstOffset: bigint;
  readonly lastOffset: bigint;
  readonly rowCount: number;
  readonly deadLetteredCount: number;
};

/** Key-value metadata of a compacted Parquet file. */
export const archiveMetadataKeys = {
  topic: 'trialstream.topic',
  ranges: 'trialstream.ranges',
  writtenAt: 'trialstream.written-at',
} as const;

/** The ranges in order, with those that follow each other put together. */
export function joinRanges(ranges: readonly ArchivedRange[]): ArchivedRange[] {
  const sorted = ranges.toSorted((a, b) => a.partition - b.partition || (a.firstOffset < b.firstOffset ? -1 : 1));
  const joined: ArchivedRange[] = [];
  for (const range of sorted) {
    const last = joined.at(-1);
    if (last === undefined || last.partition !== range.partition || last.lastOffset + 1n !== range.firstOffset) {
      joined.push(range);
      continue;
    }
    joined[joined.length - 1] = {
      ...last,
      lastOffset: range.lastOffset,
      rowCount: last.rowCount + range.rowCount,
      deadLetteredCount: last.deadLetteredCount + range.deadLetteredCount,
    };
  }
  return joined;
}

export function formatRanges(ranges: readonly ArchivedRange[]): string {
  return JSON.stringify(
    ranges.map(({ partition, firstOffset, lastOffset, rowCount, deadLetteredCount }) => [
      partition,
      firstOffset.toString(),
      lastOffset.toString(),
      rowCount,
      deadLetteredCount,
    ]),
  );
}

/** Null for text that is no list of ranges. */
export function parseRanges(text: string): ArchivedRange[] | null {
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(entries)) return null;
  const ranges: ArchivedRange[] = [];
  for (const entry of entries as unknown[]) {
    if (!Array.isArray(entry) || entry.length !== 5) return null;
    const [partition, first, last, rowCount, deadLetteredCount] = entry as unknown[];
    if (![partition, rowCount, deadLetteredCount].every(Number.isSafeInteger)) return null;
    if (![first, last].every((offset) => typeof offset === 'string' && /^\d{1,19}$/.test(offset))) return null;
    ranges.push({
      partition: partition as number,
      firstOffset: BigInt(first as string),
      lastOffset: BigInt(last as string),
      rowCount: rowCount as number,
      deadLetteredCount: deadLetteredCount as number,
    });
  }
  return ranges;
}
