// What differs between two datasets, from their manifests; pure.
import type { DatasetContent } from '#domain/dataset/dataset-manifest.ts';
import type { SplitQuality } from '#domain/dataset/quality.ts';
import { type DatasetSplit, datasetSplits } from '#domain/dataset/split.ts';

/** The parts of a manifest that people look at. */
export type StoredManifest = DatasetContent & {
  readonly dataset_version: string;
  readonly schema_version: number;
  readonly label_cutoff: string;
  readonly code_commit: string | null;
  readonly test_from: string;
  readonly splits: Readonly<Record<DatasetSplit, { readonly sha256: string; readonly quality: SplitQuality }>>;
  readonly excluded: Readonly<Record<string, number>>;
};

/** One fact of both datasets; only facts that differ are listed. */
export type DatasetDifference = { readonly what: string; readonly a: string; readonly b: string };

export function compareDatasets(a: StoredManifest, b: StoredManifest): DatasetDifference[] {
  const before = describeDataset(a);
  const after = describeDataset(b);
  return [...new Set([...before.keys(), ...after.keys()])]
    .map((what) => ({ what, a: before.get(what) ?? '-', b: after.get(what) ?? '-' }))
    .filter((difference) => difference.a !== difference.b);
}

/** The facts of a dataset by name, in the order in which people ask for them. */
export function describeDataset(manifest: StoredManifest): Map<string, string> {
  const facts = new Map<string, string>([
    ['schema version', String(manifest.schema_version)],
    ['code commit', manifest.code_commit ?? 'unknown'],
    ['label cut-off', manifest.label_cutoff],
    ['test from', manifest.test_from],
    ['rows', String(manifest.row_count)],
    ['rows with differences', String(manifest.rows_with_differences)],
  ]);
  for (const split of datasetSplits) {
    const { sha256, quality } = manifest.splits[split];
    facts.set(`${split}: sha256`, sha256);
    facts.set(`${split}: households`, String(quality.household_count));
    facts.set(`${split}: rows`, String(quality.row_count));
    facts.set(`${split}: accepted, edited, unknown`, Object.values(quality.reactions).join(', '));
    facts.set(`${split}: slots with a target`, `${quality.target_count} of ${quality.slot_count}`);
    facts.set(`${split}: slots that were changed`, String(quality.edited_slot_count));
    facts.set(`${split}: hard rules that targets break`, listCounts(quality.target_violations));
  }
  facts.set('left out', listCounts(manifest.excluded));
  for (const { partition, first_offset, end_offset } of manifest.offset_ranges) {
    facts.set(`Kafka partition ${partition}`, `[${first_offset}, ${end_offset})`);
  }
  for (const { policy_version_id, row_count } of manifest.policy_versions) {
    facts.set(`policy version ${policy_version_id ?? '(none)'}`, `${row_count} rows`);
  }
  return facts;
}

function listCounts(counts: Readonly<Record<string, number>>): string {
  const present = Object.entries(counts).filter(([, count]) => count > 0);
  return present.length === 0 ? 'none' : present.map(([name, count]) => `${name} ${count}`).join(', ');
}
