// Tests of the content of a manifest and of the object keys of datasets.
import { expect, test } from 'vitest';
import { createDatasetTally, type DescribedRow } from './dataset-manifest.ts';
import { toDatasetKey, toManifestKey } from './planner-dataset.ts';

const row = (change: Partial<DescribedRow>): DescribedRow => ({
  reaction: null,
  differenceCount: 0,
  positions: [],
  experiments: [],
  policyVersionId: null,
  ...change,
});
const rows = [
  row({
    reaction: 'accepted',
    positions: [
      { partition: 3, offset: 7n },
      { partition: 0, offset: 2n },
    ],
  }),
  row({ reaction: 'edited', differenceCount: 2, positions: [{ partition: 3, offset: 5n }], policyVersionId: 'v2' }),
  row({ positions: [{ partition: 3, offset: 6n }], experiments: [{ experiment_id: 'e', variant_id: 'b' }] }),
  row({
    experiments: [
      { experiment_id: 'e', variant_id: 'a' },
      { experiment_id: 'd', variant_id: 'z' },
    ],
  }),
];
const contentOf = (described: readonly DescribedRow[]) => {
  const tally = createDatasetTally();
  for (const one of described) tally.add(one);
  return tally.content();
};

test('describes the rows of a dataset, in whatever order they come', () => {
  const content = contentOf(rows);
  expect(content).toEqual({
    row_count: 4,
    reactions: { accepted: 1, edited: 1, unknown: 2 },
    rows_with_differences: 1,
    offset_ranges: [
      { partition: 0, first_offset: 2, end_offset: 3 },
      { partition: 3, first_offset: 5, end_offset: 8 },
    ],
    experiments: [
      { experiment_id: 'd', variant_id: 'z', row_count: 1 },
      { experiment_id: 'e', variant_id: 'a', row_count: 1 },
      { experiment_id: 'e', variant_id: 'b', row_count: 1 },
    ],
    policy_versions: [
      { policy_version_id: null, row_count: 3 },
      { policy_version_id: 'v2', row_count: 1 },
    ],
  });
  expect(contentOf(rows.toReversed())).toEqual(content);
});

test('names the first dataset of a day by its date and others by their content', () => {
  const day = { modelName: 'planner', buildDate: '2026-01-05' };
  expect(toDatasetKey(day)).toBe('datasets/planner/2026-01-05/training.parquet');
  const other = toDatasetKey({ ...day, datasetVersion: 'abc' });
  expect(other).toBe('datasets/planner/2026-01-05/v-abc/training.parquet');
  expect(toManifestKey(other)).toBe('datasets/planner/2026-01-05/v-abc/manifest.json');
});
