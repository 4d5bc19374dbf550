// Makes the training file of a dataset in memory: rows of the snapshot with their enrichment checked, and what they are.
import { createHash } from 'node:crypto';
import { createDatasetTally, type DatasetContent } from '#domain/dataset/dataset-manifest.ts';
import { findEnrichmentDifferences } from '#domain/dataset/enrichment.ts';
import { datasetColumns, datasetSchemaVersion } from '#domain/dataset/planner-dataset.ts';
import { serializePlanRequest, toCanonicalJson } from '#domain/planning/canonical-json.ts';
import { createParquetTable, type ParquetValue } from '#platform/parquet/parquet-table.ts';
import type { PoolClient } from '#platform/postgres/pool.ts';
import { type ConsumerPosition, readTrainingSnapshot, type SnapshotRow } from './training-snapshot.ts';

export type DatasetFile = {
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes, in hex. */
  readonly datasetVersion: string;
  readonly content: DatasetContent;
  readonly consumerPositions: readonly ConsumerPosition[];
};

type ColumnName = (typeof datasetColumns)[number]['name'];

/** Reads the snapshot and writes it; equal rows give equal bytes. */
export async function makeDatasetFile(
  client: PoolClient,
  options: { modelName: string; labelCutoff: Date },
): Promise<DatasetFile> {
  const tally = createDatasetTally();
  await using table = await createParquetTable({
    columns: datasetColumns,
    metadata: { model: options.modelName, schema_version: String(datasetSchemaVersion) },
  });
  const consumerPositions = await readTrainingSnapshot(client, {
    ...options,
    onRow: (row) => {
      const differences = findEnrichmentDifferences(row.request, row.enrichment);
      const values = toValues(row, toCanonicalJson(differences));
      table.append(datasetColumns.map(({ name }) => values[name]));
      tally.add({
        reaction: row.reaction,
        differenceCount: differences.length,
        positions: positionsOf(row),
        experiments: row.experiments,
        policyVersionId: row.policy_version_id,
      });
    },
  });
  const bytes = await table.finish();
  const datasetVersion = hashOf(bytes);
  return { bytes, datasetVersion, content: tally.content(), consumerPositions };
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function toValues(row: SnapshotRow, differences: string): Record<ColumnName, ParquetValue> {
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
    request: serializePlanRequest(row.request),
    plan: toCanonicalJson(row.plan),
    action_propensities: toCanonicalJson(row.action_propensities),
    reaction: row.reaction,
    reacted_at: row.reacted_at_micros,
    reaction_event_id: row.reaction_event_id,
    final_plan: row.final_plan === null ? null : toCanonicalJson(row.final_plan),
    edited_slots: row.edited_slots === null ? null : toCanonicalJson(row.edited_slots),
    enrichment: toCanonicalJson(row.enrichment),
    enrichment_differences: differences,
  };
}

function positionsOf(row: SnapshotRow) {
  const generated = { partition: row.generated_partition, offset: row.generated_offset };
  if (row.reaction_partition === null || row.reaction_offset === null) return [generated];
  return [generated, { partition: row.reaction_partition, offset: row.reaction_offset }];
}
