// Makes the files of a dataset in memory: rows of the snapshot with their enrichment checked, each in its split, and what they are.
import { createHash } from 'node:crypto';
import { createCatalogueHistory } from '#domain/dataset/catalogue-history.ts';
import { createDatasetTally, type DatasetContent } from '#domain/dataset/dataset-manifest.ts';
import { findEnrichmentDifferences } from '#domain/dataset/enrichment.ts';
import { datasetColumns, datasetSchemaVersion } from '#domain/dataset/planner-dataset.ts';
import { createQualityTally, type SplitQuality } from '#domain/dataset/quality.ts';
import { createSplitter, type DatasetSplit, datasetSplits, type SplitExclusion } from '#domain/dataset/split.ts';
import { serializePlanRequest, toCanonicalJson } from '#domain/planning/canonical-json.ts';
import type { Catalogue } from '#domain/planning/catalogue.ts';
import { serializeModelInput, toModelInput } from '#domain/planning/model-input.ts';
import { createParquetTable, type ParquetTable, type ParquetValue } from '#platform/parquet/parquet-table.ts';
import type { PoolClient } from '#platform/postgres/pool.ts';
import {
  type ConsumerPosition,
  readTrainingSnapshot,
  type SnapshotOptions,
  type SnapshotRow,
  type SnapshotStart,
} from './training-snapshot.ts';

/** A row that is in no split, by the reason; `duplicate-request`: the same household asked the same before. */
export type Exclusion = SplitExclusion | 'duplicate-request';

export type SplitFile = {
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes, in hex. */
  readonly sha256: string;
  readonly quality: SplitQuality;
};

export type DatasetFiles = {
  readonly splits: Readonly<Record<DatasetSplit, SplitFile>>;
  readonly datasetVersion: string;
  readonly content: DatasetContent;
  readonly excluded: Readonly<Record<Exclusion, number>>;
  /** ISO 8601: test rows were generated from this time on, the others before. */
  readonly testFrom: string;
  readonly consumerPositions: readonly ConsumerPosition[];
};

type ColumnName = (typeof datasetColumns)[number]['name'];

/** The version of a dataset: SHA-256 over its schema version and the hashes of its files. */
export function datasetVersionOf(sha256: Readonly<Record<DatasetSplit, string>>): string {
  return hashOf(Buffer.from(toCanonicalJson({ schema_version: datasetSchemaVersion, sha256 })));
}

/** Reads the snapshot and writes it; equal rows give equal bytes. */
export async function makeDatasetFiles(client: PoolClient, options: SnapshotOptions): Promise<DatasetFiles> {
  await using resources = new AsyncDisposableStack();
  const metadata = { model: options.modelName, schema_version: String(datasetSchemaVersion) };
  const tables = {} as Record<DatasetSplit, ParquetTable>;
  for (const split of datasetSplits) {
    tables[split] = resources.use(
      await createParquetTable({ columns: datasetColumns, metadata: { ...metadata, split } }),
    );
  }
  const sorter = createRowSorter(tables);
  const consumerPositions = await readTrainingSnapshot(client, {
    ...options,
    onStart: sorter.start,
    onRow: sorter.add,
  });
  const splits = {} as Record<DatasetSplit, SplitFile>;
  for (const split of datasetSplits) {
    const bytes = await tables[split].finish();
    splits[split] = { bytes, sha256: hashOf(bytes), quality: sorter.quality(split) };
  }
  const { training, validation, test } = splits;
  return {
    splits,
    datasetVersion: datasetVersionOf({ training: training.sha256, validation: validation.sha256, test: test.sha256 }),
    content: sorter.content(),
    excluded: sorter.excluded(),
    testFrom: sorter.testFrom(),
    consumerPositions,
  };
}

/** Puts every row where it belongs and counts it, whether it is written or not. */
function createRowSorter(tables: Readonly<Record<DatasetSplit, ParquetTable>>) {
  const tally = createDatasetTally();
  const qualities = {
    training: createQualityTally(),
    validation: createQualityTally(),
    test: createQualityTally(),
  } satisfies Record<DatasetSplit, ReturnType<typeof createQualityTally>>;
  const excluded: Record<Exclusion, number> = {
    'duplicate-request': 0,
    'training-household-in-test-time': 0,
    'test-household-in-training-time': 0,
  };
  const seen = new Set<string>();
  let catalogueAt: (time: string) => Catalogue;
  let splitter: ReturnType<typeof createSplitter>;

  return {
    start: ({ recipes, range }: SnapshotStart): void => {
      catalogueAt = createCatalogueHistory(recipes);
      splitter = createSplitter(range);
    },
    add: (row: SnapshotRow): void => {
      const request = serializePlanRequest(row.request);
      const identity = hashOf(Buffer.from(`${row.household_id}\n${request}`));
      if (seen.has(identity)) {
        excluded['duplicate-request'] += 1;
        return;
      }
      seen.add(identity);
      const place = splitter.splitOf(row.household_id, row.generated_at_micros);
      if ('excluded' in place) {
        excluded[place.excluded] += 1;
        return;
      }
      const catalogue = catalogueAt(row.request.requested_at);
      const differences = findEnrichmentDifferences(row.request, row.enrichment);
      const values = toValues(row, {
        request,
        model_input: serializeModelInput(toModelInput(row.request, catalogue)),
        enrichment_differences: toCanonicalJson(differences),
      });
      tables[place.split].append(datasetColumns.map(({ name }) => values[name]));
      tally.add({
        reaction: row.reaction,
        differenceCount: differences.length,
        positions: positionsOf(row),
        experiments: row.experiments,
        policyVersionId: row.policy_version_id,
      });
      qualities[place.split].add(
        {
          householdId: row.household_id,
          request: row.request,
          reaction: row.reaction,
          finalPlan: row.final_plan,
          editedSlots: row.edited_slots ?? [],
          differences,
        },
        catalogue,
      );
    },
    quality: (split: DatasetSplit) => qualities[split].report(),
    content: () => tally.content(),
    excluded: () => ({ ...excluded }),
    testFrom: () => new Date(Number(splitter.testFromMicros / 1_000n)).toISOString(),
  };
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function toValues(
  row: SnapshotRow,
  texts: { request: string; model_input: string; enrichment_differences: string },
): Record<ColumnName, ParquetValue> {
  return {
    plan_id: row.plan_id,
    generated_at: row.generated_at_micros,
    generated_event_id: row.generated_event_id,
    household_id: row.household_id,
    requested_at: row.requested_at_micros,
    workflow_type: row.request.workflow_type,
    mode: row.request.mode,
    experiments: toCanonicalJson(row.experiments),
    policy_version_id: row.policy_version_id,
    policy: toCanonicalJson(row.policy),
    ...texts,
    plan: toCanonicalJson(row.plan),
    action_propensities: toCanonicalJson(row.action_propensities),
    reaction: row.reaction,
    reacted_at: row.reacted_at_micros,
    reaction_event_id: row.reaction_event_id,
    final_plan: row.final_plan === null ? null : toCanonicalJson(row.final_plan),
    edited_slots: row.edited_slots === null ? null : toCanonicalJson(row.edited_slots),
    enrichment: toCanonicalJson(row.enrichment),
  };
}

function positionsOf(row: SnapshotRow) {
  const generated = { partition: row.generated_partition, offset: row.generated_offset };
  if (row.reaction_partition === null || row.reaction_offset === null) return [generated];
  return [generated, { partition: row.reaction_partition, offset: row.reaction_offset }];
}
