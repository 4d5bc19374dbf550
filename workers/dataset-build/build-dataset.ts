// Freezes the training rows of a model into an immutable, content-addressed file with a manifest and a row in exp.dataset_versions.
import type { DatasetContent } from '#domain/dataset/dataset-manifest.ts';
import { datasetColumns, datasetSchemaVersion, toDatasetKey, toManifestKey } from '#domain/dataset/planner-dataset.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';
import { type DatasetFile, hashOf, makeDatasetFile } from './dataset-file.ts';
import type { ConsumerPosition } from './training-snapshot.ts';

export type BuildDatasetOptions = {
  readonly pool: Pool;
  readonly objectStore: ObjectStore;
  readonly modelName: string;
  /** YYYY-MM-DD, in UTC. */
  readonly buildDate: string;
  /** Plans and reactions from this time on are not in the dataset. */
  readonly labelCutoff: Date;
};

export type BuiltDataset = {
  /** SHA-256 of the file, in hex. */
  readonly datasetVersion: string;
  readonly objectKey: string;
  readonly rowCount: number;
  /** The same content had been built before, perhaps on another day: nothing was written. */
  readonly alreadyExisted: boolean;
};

/** `manifest.json` beside the file. */
export type DatasetManifest = DatasetContent & {
  readonly dataset_version: string;
  readonly content_hash: { readonly algorithm: 'sha256'; readonly value: string };
  readonly model_name: string;
  readonly build_date: string;
  readonly object_key: string;
  readonly size_bytes: number;
  readonly schema_version: number;
  readonly columns: typeof datasetColumns;
  /** Of the first build with this content; a later cut-off that changes no row makes no new dataset. */
  readonly label_cutoff: string;
  /** The dataset reflects every event before these offsets. */
  readonly consumer_positions: readonly ConsumerPosition[];
};

/**
 * Builds the dataset of the present training rows. Idempotent: the same rows give the same version and write nothing twice.
 * Order of writes: manifest, file, row. One builder per model works at a time, so whatever a crash leaves is complete up to a
 * point: a manifest without its file is replaced, a file without its row is registered from its manifest by the next build.
 */
export async function buildDataset(options: BuildDatasetOptions): Promise<BuiltDataset> {
  const client = await options.pool.connect();
  let broken: Error | undefined;
  try {
    const lock = `dataset-build/${options.modelName}`;
    await client.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [lock]);
    const built = await buildAlone(client, options);
    await client.query('SELECT pg_advisory_unlock(hashtextextended($1, 0))', [lock]);
    return built;
  } catch (error) {
    // The session may hold the lock: it ends here, and the lock with it.
    broken = error instanceof Error ? error : new Error(String(error));
    throw error;
  } finally {
    client.release(broken);
  }
}

async function buildAlone(client: PoolClient, options: BuildDatasetOptions): Promise<BuiltDataset> {
  const { objectStore, modelName, buildDate } = options;
  const file = await makeDatasetFile(client, options);
  const { datasetVersion, bytes } = file;

  const known = await findVersion(client, datasetVersion);
  if (known !== null) {
    // Puts back what somebody removed: the bytes are the same.
    if ((await objectStore.find(known.objectKey)) === null) await objectStore.put(known.objectKey, bytes);
    return { datasetVersion, ...known, alreadyExisted: true };
  }
  const dayKey = toDatasetKey({ modelName, buildDate });
  if (await isFree(client, objectStore, dayKey)) return write(client, options, file, dayKey);

  const found = await registerFound(client, objectStore, dayKey);
  if (found?.datasetVersion === datasetVersion) return found;
  return write(client, options, file, toDatasetKey({ modelName, buildDate, datasetVersion }));
}

async function findVersion(
  client: PoolClient,
  datasetVersion: string,
): Promise<Pick<BuiltDataset, 'objectKey' | 'rowCount'> | null> {
  const { rows } = await client.query<{ object_key: string; row_count: bigint }>(
    'SELECT object_key, row_count FROM exp.dataset_versions WHERE dataset_version = $1',
    [datasetVersion],
  );
  return rows[0] === undefined ? null : { objectKey: rows[0].object_key, rowCount: Number(rows[0].row_count) };
}

/** A key whose row lost its object is not free: it belongs to that version. */
async function isFree(client: PoolClient, objectStore: ObjectStore, objectKey: string): Promise<boolean> {
  const { rowCount } = await client.query('SELECT 1 FROM exp.dataset_versions WHERE object_key = $1', [objectKey]);
  return rowCount === 0 && (await objectStore.find(objectKey)) === null;
}

async function write(
  client: PoolClient,
  options: BuildDatasetOptions,
  file: DatasetFile,
  objectKey: string,
): Promise<BuiltDataset> {
  const { objectStore } = options;
  const manifest = toManifest(options, file, objectKey);
  const body = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
  // Without a file beside it a manifest is a leftover, so this one takes its place; with the file it is kept.
  if ((await objectStore.find(objectKey)) === null) {
    await objectStore.put(toManifestKey(objectKey), body, { contentType: 'application/json' });
    await objectStore.put(objectKey, file.bytes, {
      contentType: 'application/vnd.apache.parquet',
      onlyIfAbsent: true,
    });
  }
  // Commit point: the file is in the object store, under this name and with this content, before its row says so.
  const found = await registerFound(client, objectStore, objectKey);
  if (found?.datasetVersion !== file.datasetVersion) {
    throw new Error(`object ${objectKey} was written by somebody else and is not dataset ${file.datasetVersion}`);
  }
  return found;
}

/** Inserts the row of the object that lies at the key; null where it has no manifest of its own or is no longer there. */
async function registerFound(
  client: PoolClient,
  objectStore: ObjectStore,
  objectKey: string,
): Promise<BuiltDataset | null> {
  const manifestKey = toManifestKey(objectKey);
  if ((await objectStore.find(objectKey)) === null || (await objectStore.find(manifestKey)) === null) return null;
  const datasetVersion = hashOf(await objectStore.get(objectKey));
  const manifest = JSON.parse(Buffer.from(await objectStore.get(manifestKey)).toString('utf8')) as DatasetManifest;
  if (manifest.dataset_version !== datasetVersion) return null;
  await client.query(
    `INSERT INTO exp.dataset_versions (dataset_version, model_name, build_date, object_key, manifest, row_count, label_cutoff)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (dataset_version) DO NOTHING`,
    [
      datasetVersion,
      manifest.model_name,
      manifest.build_date,
      objectKey,
      JSON.stringify(manifest),
      manifest.row_count,
      manifest.label_cutoff,
    ],
  );
  return { datasetVersion, objectKey, rowCount: manifest.row_count, alreadyExisted: false };
}

function toManifest(options: BuildDatasetOptions, file: DatasetFile, objectKey: string): DatasetManifest {
  return {
    dataset_version: file.datasetVersion,
    content_hash: { algorithm: 'sha256', value: file.datasetVersion },
    model_name: options.modelName,
    build_date: options.buildDate,
    object_key: objectKey,
    size_bytes: file.bytes.byteLength,
    schema_version: datasetSchemaVersion,
    columns: datasetColumns,
    label_cutoff: options.labelCutoff.toISOString(),
    ...file.content,
    consumer_positions: file.consumerPositions,
  };
}
