// Reads the test split of a dataset and the recipes of its time, and refuses what is not what the dataset says it is.
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createCatalogueHistory } from '#domain/dataset/catalogue-history.ts';
import { datasetSchemaVersion, splitFiles, toSiblingKey } from '#domain/dataset/planner-dataset.ts';
import type { LoggedPlan } from '#domain/offline-evaluation/replayed-plan.ts';
import type { Catalogue } from '#domain/planning/catalogue.ts';
import { serializeModelInput, toModelInput } from '#domain/planning/model-input.ts';
import { FatalError } from '#platform/errors.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import { openScratchDatabase, quoteText } from '#platform/parquet/scratch-database.ts';
import type { PoolClient } from '#platform/postgres/pool.ts';
import { readRecipes } from '#producers/planner-tables/recipe-rows.ts';
import type { DatasetManifest } from '../dataset-build/build-dataset.ts';

export type TestSplit = {
  readonly plans: readonly (LoggedPlan & { readonly modelInputText: string })[];
  readonly catalogueAt: (time: string) => Catalogue;
  /** s3:// address of the dataset's folder. */
  readonly address: string;
};

type Row = Record<
  'plan_id' | 'household_id' | 'request' | 'model_input' | 'action_propensities' | 'final_plan' | 'edited_slots',
  string
> & { final_plan: string | null; edited_slots: string | null };

const refuse = (message: string): FatalError => new FatalError(message, { code: 'config-invalid' });

/** @throws FatalError when the dataset is unknown, empty, changed, of another release, or older than the stored recipes. */
export async function readTestSplit(
  client: PoolClient,
  objectStore: ObjectStore,
  datasetVersion: string,
): Promise<TestSplit> {
  const { rows } = await client.query<{ object_key: string; manifest: DatasetManifest }>(
    'SELECT object_key, manifest FROM exp.dataset_versions WHERE dataset_version = $1',
    [datasetVersion],
  );
  const stored = rows[0];
  if (stored === undefined)
    throw refuse(`there is no dataset version ${datasetVersion}: \`ops dataset list\` shows them`);
  const { object_key: objectKey, manifest } = stored;
  if (manifest.schema_version !== datasetSchemaVersion) {
    throw refuse(
      `dataset ${datasetVersion} has schema version ${manifest.schema_version}, and this release reads ${datasetSchemaVersion}: build it again`,
    );
  }
  const testKey = toSiblingKey(objectKey, splitFiles.test);
  if ((await objectStore.find(testKey)) === null) {
    throw refuse(`${testKey} is gone from the object store: build the dataset again, which puts it back`);
  }
  const bytes = await objectStore.get(testKey);
  if (createHash('sha256').update(bytes).digest('hex') !== manifest.splits.test.sha256) {
    throw refuse(`${testKey} is not the file that dataset ${datasetVersion} was built with`);
  }
  const plans = (await readRows(bytes)).map(toLoggedPlan);
  if (plans.length === 0) throw refuse(`the test split of dataset ${datasetVersion} has no plan: nothing to replay`);
  const catalogueAt = createCatalogueHistory(await readRecipes(client));
  for (const { planId, request, modelInputText } of plans) {
    if (serializeModelInput(toModelInput(request, catalogueAt(request.requested_at))) !== modelInputText) {
      throw refuse(
        `the stored recipes are no longer those that dataset ${datasetVersion} was built with (plan ${planId}): build it again`,
      );
    }
  }
  return { plans, catalogueAt, address: `s3://${objectStore.bucket}/${objectKey.replace(/\/[^/]+$/, '')}` };
}

async function readRows(bytes: Uint8Array): Promise<Row[]> {
  await using scratch = await openScratchDatabase();
  const path = join(scratch.folder, 'test.parquet');
  await writeFile(path, bytes);
  const columns = 'plan_id, household_id, request, model_input, action_propensities, final_plan, edited_slots';
  const read = await scratch.connection.runAndReadAll(`SELECT ${columns} FROM read_parquet(${quoteText(path)})`);
  return read.getRowObjects() as Row[];
}

function toLoggedPlan(row: Row): TestSplit['plans'][number] {
  return {
    planId: row.plan_id,
    householdId: row.household_id,
    request: JSON.parse(row.request),
    modelInput: JSON.parse(row.model_input),
    modelInputText: row.model_input,
    choices: JSON.parse(row.action_propensities),
    finalPlan: row.final_plan === null ? null : JSON.parse(row.final_plan),
    editedSlots: row.edited_slots === null ? null : JSON.parse(row.edited_slots),
  };
}
