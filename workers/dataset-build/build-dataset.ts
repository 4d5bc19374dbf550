// Freezes the training rows of a model into immutable, content-addressed files with a manifest and a row in exp.dataset_versions.
import type { DatasetContent } from '#domain/dataset/dataset-manifest.ts';
import {
  datasetColumns,
  datasetSchemaVersion,
  splitFiles,
  toDatasetKey,
  toManifestKey,
  toSiblingKey,
} from '#domain/dataset/planner-dataset.ts';
import type { SplitQuality } from '#domain/dataset/quality.ts';
import { type DatasetSplit, datasetSplits } from '#domain/dataset/split.ts';
import { modelInputVersion } from '#domain/planning/model-input.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import type { Pool, PoolClient } from '#platform/postgres/pool.ts';
import { withSessionLock } from '#platform/postgres/session-lock.ts';
import { type DatasetFiles, datasetVersionOf, type Exclusion, hashOf, makeDatasetFiles } from './dataset-files.ts';
import type { ConsumerPosition, SnapshotOptions } from './training-snapshot.ts';

export type BuildDatasetOptions = SnapshotOptions & {
  readonly pool: Pool;
  readonly objectStore: ObjectStore;
  /** YYYY-MM-DD, in UTC. */
  readonly buildDate: string;
  /** Commit of the code that builds; null where nobody knows it. */
  readonly codeCommit: string | null;
};

export type BuiltDataset = {
  /** SHA-256 over the hashes of the files, in hex. */
  readonly datasetVersion: string;
  /** Of training.parquet; the other files lie beside it. */
  readonly objectKey: string;
  readonly rowCount: number;
  /** The same content had been built before, perhaps on another day: nothing was written. */
  readonly alreadyExisted: boolean;
};

export type ManifestSplit = {
  readonly file: string;
  readonly sha256: string;
  readonly size_bytes: number;
  readonly quality: SplitQuality;
};

/** `manifest.json` beside the files. */
export type DatasetManifest = DatasetContent & {
  readonly dataset_version: string;
  readonly content_hash: { readonly algorithm: 'sha256'; readonly value: string };
  readonly splits: Readonly<Record<DatasetSplit, ManifestSplit>>;
  /** Rows of the snapshot that are in no file, by reason. */
  readonly excluded: Readonly<Record<Exclusion, number>>;
  /** Test rows were generated from this time on, the others before it. */
  readonly test_from: string;
  readonly model_input_version: number;
  /** Of the code of the first build with this content; null where nobody knew it. */
  readonly code_commit: string | null;
  readonly model_name: string;
  readonly build_date: string;
  readonly object_key: string;
  readonly schema_version: number;
  readonly columns: typeof datasetColumns;
  /** Of the first build with this content; a later cut-off that changes no row makes no new dataset. */
  readonly label_cutoff: string;
  /** Plans generated in [from, to); null where no bound was given. */
  readonly generated_from: string | null;
  readonly generated_to: string | null;
  /** The dataset reflects every event before these offsets. */
  readonly consumer_positions: readonly ConsumerPosition[];
};

/**
 * Builds the dataset of the present training rows. Idempotent: the same rows give the same version and write nothing twice.
 * Order of writes: manifest, validation, test, training, row. One builder per model works at a time, so whatever a crash
 * leaves is complete up to a point: files without training.parquet are replaced, and with it but without a row they are
 * registered from their manifest by the next build.
 */
export async function buildDataset(options: BuildDatasetOptions): Promise<BuiltDataset> {
  return withSessionLock(options.pool, `dataset-build/${options.modelName}`, (client) => buildAlone(client, options));
}

async function buildAlone(client: PoolClient, options: BuildDatasetOptions): Promise<BuiltDataset> {
  const { objectStore, modelName, buildDate } = options;
  const files = await makeDatasetFiles(client, options);
  const { datasetVersion } = files;

  const known = await findVersion(client, datasetVersion);
  if (known !== null) {
    // Puts back what somebody removed: the bytes are the same.
    await putMissingFiles(objectStore, known, files);
    const { objectKey, rowCount } = known;
    return { datasetVersion, objectKey, rowCount, alreadyExisted: true };
  }
  const dayKey = toDatasetKey({ modelName, buildDate });
  if (await isFree(client, objectStore, dayKey)) return write(client, options, files, dayKey);

  const found = await registerFound(client, objectStore, dayKey);
  if (found?.datasetVersion === datasetVersion) return found;
  return write(client, options, files, toDatasetKey({ modelName, buildDate, datasetVersion }));
}

type KnownVersion = Pick<BuiltDataset, 'objectKey' | 'rowCount'> & { readonly manifest: DatasetManifest };

async function findVersion(client: PoolClient, datasetVersion: string): Promise<KnownVersion | null> {
  const { rows } = await client.query<{ object_key: string; row_count: bigint; manifest: DatasetManifest }>(
    'SELECT object_key, row_count, manifest FROM exp.dataset_versions WHERE dataset_version = $1',
    [datasetVersion],
  );
  if (rows[0] === undefined) return null;
  return { objectKey: rows[0].object_key, rowCount: Number(rows[0].row_count), manifest: rows[0].manifest };
}

/** A key whose row lost its object is not free: it belongs to that version. */
async function isFree(client: PoolClient, objectStore: ObjectStore, objectKey: string): Promise<boolean> {
  const { rowCount } = await client.query('SELECT 1 FROM exp.dataset_versions WHERE object_key = $1', [objectKey]);
  return rowCount === 0 && (await objectStore.find(objectKey)) === null;
}

async function write(
  client: PoolClient,
  options: BuildDatasetOptions,
  files: DatasetFiles,
  objectKey: string,
): Promise<BuiltDataset> {
  const { objectStore } = options;
  const manifest = toManifest(options, files, objectKey);
  const body = manifestBody(manifest);
  // Without training.parquet beside it a manifest is a leftover, so this one takes its place; with it, it is kept.
  if ((await objectStore.find(objectKey)) === null) {
    await objectStore.put(toManifestKey(objectKey), body, json);
    for (const split of ['validation', 'test'] as const) {
      await objectStore.put(toSiblingKey(objectKey, splitFiles[split]), files.splits[split].bytes, parquet);
    }
    await objectStore.put(objectKey, files.splits.training.bytes, { ...parquet, onlyIfAbsent: true });
  }
  // Commit point: the files are in the object store, under these names and with this content, before their row says so.
  const found = await registerFound(client, objectStore, objectKey);
  if (found?.datasetVersion !== files.datasetVersion) {
    throw new Error(`object ${objectKey} was written by somebody else and is not dataset ${files.datasetVersion}`);
  }
  return found;
}

const parquet = { contentType: 'application/vnd.apache.parquet' } as const;
const json = { contentType: 'application/json' } as const;
const manifestBody = (manifest: DatasetManifest): Buffer => Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);

async function putMissingFiles(
  objectStore: ObjectStore,
  { objectKey, manifest }: KnownVersion,
  files: DatasetFiles,
): Promise<void> {
  const manifestKey = toManifestKey(objectKey);
  if ((await objectStore.find(manifestKey)) === null) await objectStore.put(manifestKey, manifestBody(manifest), json);
  for (const split of datasetSplits) {
    const key = toSiblingKey(objectKey, splitFiles[split]);
    if ((await objectStore.find(key)) === null) await objectStore.put(key, files.splits[split].bytes, parquet);
  }
}

/** The version of the files that lie at the key; null where one of them is missing. */
async function findStoredVersion(objectStore: ObjectStore, objectKey: string): Promise<string | null> {
  const sha256 = {} as Record<DatasetSplit, string>;
  for (const split of datasetSplits) {
    const key = toSiblingKey(objectKey, splitFiles[split]);
    if ((await objectStore.find(key)) === null) return null;
    sha256[split] = hashOf(await objectStore.get(key));
  }
  return datasetVersionOf(sha256);
}

/** Inserts the row of the files that lie at the key; null where they have no manifest of their own or are no longer there. */
async function registerFound(
  client: PoolClient,
  objectStore: ObjectStore,
  objectKey: string,
): Promise<BuiltDataset | null> {
  const manifestKey = toManifestKey(objectKey);
  const datasetVersion = await findStoredVersion(objectStore, objectKey);
  if (datasetVersion === null || (await objectStore.find(manifestKey)) === null) return null;
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

function toManifest(options: BuildDatasetOptions, files: DatasetFiles, objectKey: string): DatasetManifest {
  const toSplit = (split: DatasetSplit): ManifestSplit => {
    const { bytes, sha256, quality } = files.splits[split];
    return { file: splitFiles[split], sha256, size_bytes: bytes.byteLength, quality };
  };
  return {
    dataset_version: files.datasetVersion,
    content_hash: { algorithm: 'sha256', value: files.datasetVersion },
    model_name: options.modelName,
    build_date: options.buildDate,
    object_key: objectKey,
    splits: { training: toSplit('training'), validation: toSplit('validation'), test: toSplit('test') },
    excluded: files.excluded,
    test_from: files.testFrom,
    schema_version: datasetSchemaVersion,
    model_input_version: modelInputVersion,
    code_commit: options.codeCommit,
    columns: datasetColumns,
    label_cutoff: options.labelCutoff.toISOString(),
    generated_from: options.from?.toISOString() ?? null,
    generated_to: options.to?.toISOString() ?? null,
    ...files.content,
    consumer_positions: files.consumerPositions,
  };
}
