// Decides which objects of the archive become one file; pure.

export type ManifestRow = {
  readonly id: bigint;
  readonly kind: 'segment' | 'compacted';
  readonly objectKey: string;
  readonly dt: string;
  readonly hour: number;
  /** Null for compacted files. */
  readonly partition: number | null;
  readonly firstOffset: bigint | null;
  readonly rowCount: number;
  readonly deadLetteredCount: number;
  readonly sizeBytes: number;
  /** Units erased before this time are in the object under their pseudonyms. */
  readonly erasedUntil: Date;
};

/**
 * Objects of one hour that become one file. `check` has one object that an erasure may concern: it is written again only when it
 * holds an erased unit.
 */
export type CompactionUnit = {
  readonly kind: 'merge' | 'check';
  readonly dt: string;
  readonly hour: number;
  readonly inputs: readonly ManifestRow[];
};

type Limits = { readonly maxRows: number; readonly maxBytes: number };

const byOrigin = (a: ManifestRow, b: ManifestRow): number =>
  // Compacted files first: together with a few late segments they become the one file of the hour again.
  (a.partition ?? -1) - (b.partition ?? -1) ||
  Number((a.firstOffset ?? a.id) > (b.firstOffset ?? b.id)) - Number((a.firstOffset ?? a.id) < (b.firstOffset ?? b.id));

function pack(rows: readonly ManifestRow[], limits: Limits): ManifestRow[][] {
  const groups: ManifestRow[][] = [];
  let [rowCount, sizeBytes] = [0, 0];
  for (const row of rows) {
    const current = groups.at(-1);
    const isFull = rowCount + row.rowCount > limits.maxRows || sizeBytes + row.sizeBytes > limits.maxBytes;
    if (current === undefined || isFull) {
      groups.push([row]);
      [rowCount, sizeBytes] = [row.rowCount, row.sizeBytes];
    } else {
      current.push(row);
      rowCount += row.rowCount;
      sizeBytes += row.sizeBytes;
    }
  }
  return groups;
}

/**
 * Work on closed hours, oldest first. Each object is in at most one unit, and a file never takes more than the limits unless one
 * object alone does. Ranges without any row (dead letters only) have no object; they go along with their neighbours.
 */
export function planCompaction(
  rows: readonly ManifestRow[],
  options: Limits & { readonly latestErasureAt: Date | null },
): CompactionUnit[] {
  const { latestErasureAt } = options;
  const isErasureDue = (row: ManifestRow): boolean =>
    latestErasureAt !== null && row.rowCount > 0 && row.erasedUntil <= latestErasureAt;
  const units: CompactionUnit[] = [];
  const hours = Map.groupBy(rows, ({ dt, hour }) => `${dt} ${String(hour).padStart(2, '0')}`);
  for (const [, inHour] of [...hours].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { dt, hour } = inHour[0]!;
    const hasSegments = inHour.some(({ kind, rowCount }) => kind === 'segment' && rowCount > 0);
    if (!hasSegments) {
      for (const row of inHour) if (isErasureDue(row)) units.push({ kind: 'check', dt, hour, inputs: [row] });
      continue;
    }
    for (const inputs of pack(inHour.toSorted(byOrigin), options)) {
      const [only] = inputs;
      if (inputs.length > 1 || only!.kind === 'segment') {
        if (inputs.some(({ rowCount }) => rowCount > 0)) units.push({ kind: 'merge', dt, hour, inputs });
      } else if (isErasureDue(only!)) units.push({ kind: 'check', dt, hour, inputs });
    }
  }
  return units;
}
