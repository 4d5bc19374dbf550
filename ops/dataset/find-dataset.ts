// Finds stored dataset versions by their version or the beginning of it.
import { FatalError } from '#platform/errors.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import type { StoredManifest } from './compare-datasets.ts';

export type StoredDataset = {
  readonly datasetVersion: string;
  readonly objectKey: string;
  readonly rowCount: number;
  readonly labelCutoff: Date;
  readonly createdAt: Date;
  readonly mlflowRunId: string | null;
  readonly manifest: StoredManifest;
};

const columns = 'dataset_version, object_key, row_count, label_cutoff, created_at, mlflow_run_id, manifest';

type Row = {
  dataset_version: string;
  object_key: string;
  row_count: bigint;
  label_cutoff: Date;
  created_at: Date;
  mlflow_run_id: string | null;
  manifest: StoredManifest;
};

const fromRow = (row: Row): StoredDataset => ({
  datasetVersion: row.dataset_version,
  objectKey: row.object_key,
  rowCount: Number(row.row_count),
  labelCutoff: row.label_cutoff,
  createdAt: row.created_at,
  mlflowRunId: row.mlflow_run_id,
  manifest: row.manifest,
});

/** The newest first. */
export async function listDatasets(pool: Pool): Promise<StoredDataset[]> {
  const { rows } = await pool.query<Row>(`SELECT ${columns} FROM exp.dataset_versions ORDER BY created_at DESC`);
  return rows.map(fromRow);
}

/** @throws FatalError when none or several versions begin like that. */
export async function getDataset(pool: Pool, beginning: string): Promise<StoredDataset> {
  const refuse = (message: string): FatalError => new FatalError(message, { code: 'config-invalid' });
  if (!/^[0-9a-f]{4,64}$/.test(beginning)) {
    throw refuse(`${beginning} is no dataset version: expected at least its first 4 hex digits`);
  }
  const { rows } = await pool.query<Row>(
    `SELECT ${columns} FROM exp.dataset_versions WHERE starts_with(dataset_version, $1) LIMIT 2`,
    [beginning],
  );
  if (rows.length > 1) throw refuse(`several dataset versions begin with ${beginning}: give more of it`);
  if (rows[0] === undefined) throw refuse(`there is no dataset version ${beginning}: \`ops dataset list\` shows them`);
  return fromRow(rows[0]);
}
