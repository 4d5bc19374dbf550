// The manifest of a dataset: what is in it and where in the log it came from, collected row by row.

/** Offsets of one Kafka partition that rows of the dataset came from: [first_offset, end_offset). */
export type OffsetRange = { readonly partition: number; readonly first_offset: number; readonly end_offset: number };

export type DatasetContent = {
  readonly row_count: number;
  readonly reactions: { readonly accepted: number; readonly edited: number; readonly unknown: number };
  /** Rows whose domain rows differ from the request snapshot. */
  readonly rows_with_differences: number;
  readonly offset_ranges: readonly OffsetRange[];
  readonly experiments: readonly {
    readonly experiment_id: string;
    readonly variant_id: string;
    readonly row_count: number;
  }[];
  /** `policy_version_id` is null for plans whose variant names none, or which were in no experiment. */
  readonly policy_versions: readonly { readonly policy_version_id: string | null; readonly row_count: number }[];
};

export type DescribedRow = {
  readonly reaction: 'accepted' | 'edited' | null;
  readonly differenceCount: number;
  readonly positions: readonly { readonly partition: number; readonly offset: bigint }[];
  readonly experiments: readonly { readonly experiment_id: string; readonly variant_id: string }[];
  readonly policyVersionId: string | null;
};

/** Collects the content of a dataset; the order of the rows does not matter. */
export function createDatasetTally(): { add(row: DescribedRow): void; content(): DatasetContent } {
  const reactions = { accepted: 0, edited: 0, unknown: 0 };
  const ranges = new Map<number, { first: bigint; last: bigint }>();
  const variants = new Map<string, number>();
  const policyVersions = new Map<string | null, number>();
  let rowCount = 0;
  let rowsWithDifferences = 0;
  const count = <K>(counts: Map<K, number>, key: K) => counts.set(key, (counts.get(key) ?? 0) + 1);
  const compare = (a: string | null, b: string | null) => ((a ?? '') < (b ?? '') ? -1 : (a ?? '') > (b ?? '') ? 1 : 0);

  return {
    add: (row) => {
      rowCount += 1;
      reactions[row.reaction ?? 'unknown'] += 1;
      if (row.differenceCount > 0) rowsWithDifferences += 1;
      for (const { partition, offset } of row.positions) {
        const known = ranges.get(partition);
        if (known === undefined) ranges.set(partition, { first: offset, last: offset });
        else if (offset < known.first) known.first = offset;
        else if (offset > known.last) known.last = offset;
      }
      for (const { experiment_id, variant_id } of row.experiments) count(variants, `${experiment_id}/${variant_id}`);
      count(policyVersions, row.policyVersionId);
    },
    content: () => ({
      row_count: rowCount,
      reactions: { ...reactions },
      rows_with_differences: rowsWithDifferences,
      offset_ranges: [...ranges]
        .sort(([a], [b]) => a - b)
        .map(([partition, { first, last }]) => ({
          partition,
          first_offset: Number(first),
          end_offset: Number(last) + 1,
        })),
      experiments: [...variants]
        .sort(([a], [b]) => compare(a, b))
        .map(([ids, row_count]) => {
          const [experiment_id = '', variant_id = ''] = ids.split('/');
          return { experiment_id, variant_id, row_count };
        }),
      policy_versions: [...policyVersions]
        .sort(([a], [b]) => compare(a, b))
        .map(([policy_version_id, row_count]) => ({ policy_version_id, row_count })),
    }),
  };
}
