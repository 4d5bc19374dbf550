// What the files of datasets hold, asked of the Parquet files themselves: plans, events, households.
import { splitFiles, toManifestKey, toSiblingKey } from '#domain/dataset/planner-dataset.ts';
import { type DatasetSplit, datasetSplits } from '#domain/dataset/split.ts';
import { downloadObjects } from '#platform/object-store/download-objects.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import { openScratchDatabase, quoteText, type ScratchDatabase } from '#platform/parquet/scratch-database.ts';
import type { DatasetRecord } from './lineage-records.ts';

export type HeldPlan = { readonly planId: string; readonly split: DatasetSplit };
export type HeldEvent = { readonly eventId: string; readonly day: string };

export type DatasetContents = {
  /** Object keys of the dataset that are not in the object store. */
  listMissing(dataset: DatasetRecord): Promise<readonly string[]>;
  /** Those of the plans, and the plans of those events, that are in a file. Null when a file is missing and none was found. */
  findPlans(
    dataset: DatasetRecord,
    wanted: { readonly planIds?: readonly string[]; readonly eventId?: string },
  ): Promise<readonly HeldPlan[] | null>;
  /** Events that the rows name in order of time, at most `limit`. */
  listEvents(dataset: DatasetRecord, limit: number): Promise<readonly HeldEvent[]>;
  /** Rows by household. */
  countByHousehold(dataset: DatasetRecord): Promise<ReadonlyMap<string, number>>;
};

type Table = { readonly name: string; readonly isComplete: boolean };

const emptyTable = `SELECT NULL::VARCHAR AS plan_id, NULL::VARCHAR AS household_id, NULL::VARCHAR AS generated_event_id,
  NULL::VARCHAR AS reaction_event_id, NULL::TIMESTAMP AS generated_at, NULL::TIMESTAMP AS reacted_at, NULL::VARCHAR AS split WHERE false`;

/** What was made for the key before, or now. */
export function remember<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const made = known.get(key) ?? make();
  known.set(key, made);
  return made;
}

/** Each dataset is downloaded once. What was opened is put on `resources`. */
export function createDatasetContents(objectStore: ObjectStore, resources: AsyncDisposableStack): DatasetContents {
  const missing = new Map<string, Promise<readonly string[]>>();
  const tables = new Map<string, Promise<Table>>();
  let scratch: Promise<ScratchDatabase> | undefined;
  const database = async (): Promise<ScratchDatabase> => {
    scratch ??= openScratchDatabase().then((opened) => resources.use(opened));
    return scratch;
  };
  const keyOf = (dataset: DatasetRecord, split: DatasetSplit): string =>
    toSiblingKey(dataset.object_key, splitFiles[split]);

  const findMissing = async (dataset: DatasetRecord): Promise<readonly string[]> => {
    const keys = [...datasetSplits.map((split) => keyOf(dataset, split)), toManifestKey(dataset.object_key)];
    const found = await Promise.all(keys.map((key) => objectStore.find(key)));
    return keys.filter((_, index) => found[index] === null);
  };
  const listMissing: DatasetContents['listMissing'] = (dataset) =>
    remember(missing, dataset.dataset_version, () => findMissing(dataset));

  const load = async (dataset: DatasetRecord): Promise<Table> => {
    const gone = await listMissing(dataset);
    const splits = datasetSplits.filter((split) => !gone.includes(keyOf(dataset, split)));
    const { connection, folder } = await database();
    const paths = await downloadObjects(
      objectStore,
      splits.map((split) => keyOf(dataset, split)),
      folder,
    );
    const name = `"${dataset.dataset_version}"`;
    const parts = paths.map(
      (path, index) =>
        `SELECT plan_id, household_id, generated_event_id, reaction_event_id, generated_at, reacted_at, ${quoteText(splits[index]!)} AS split
         FROM read_parquet(${quoteText(path)})`,
    );
    await connection.run(`CREATE TABLE ${name} AS ${[emptyTable, ...parts].join(' UNION ALL ')}`);
    return { name, isComplete: splits.length === datasetSplits.length };
  };
  const open = (dataset: DatasetRecord): Promise<Table> =>
    remember(tables, dataset.dataset_version, () => load(dataset));
  const rows = async <T extends readonly unknown[]>(query: string): Promise<T[]> =>
    (await (await database()).connection.runAndReadAll(query)).getRowsJS() as unknown as T[];

  return {
    listMissing,
    findPlans: async (dataset, { planIds = [], eventId }) => {
      const { name, isComplete } = await open(dataset);
      const conditions = [
        `plan_id IN (${['', ...planIds].map(quoteText).join(', ')})`,
        ...(eventId === undefined ? [] : [`${quoteText(eventId)} IN (generated_event_id, reaction_event_id)`]),
      ];
      const found = await rows<[string, DatasetSplit]>(
        `SELECT plan_id, split FROM ${name} WHERE ${conditions.join(' OR ')} ORDER BY generated_at, plan_id`,
      );
      if (found.length === 0 && !isComplete) return null;
      return found.map(([planId, split]) => ({ planId, split }));
    },
    listEvents: async (dataset, limit) => {
      const { name } = await open(dataset);
      const found = await rows<[string, string]>(
        `SELECT event_id, strftime(happened_at, '%Y-%m-%d') FROM (
           SELECT generated_event_id AS event_id, generated_at AS happened_at FROM ${name}
           UNION ALL SELECT reaction_event_id, reacted_at FROM ${name} WHERE reaction_event_id IS NOT NULL
         ) ORDER BY happened_at, event_id LIMIT ${limit}`,
      );
      return found.map(([id, day]) => ({ eventId: id, day }));
    },
    countByHousehold: async (dataset) => {
      const { name } = await open(dataset);
      const found = await rows<[string, number]>(
        `SELECT household_id, count(*)::DOUBLE FROM ${name} GROUP BY 1 ORDER BY 1`,
      );
      return new Map(found);
    },
  };
}
