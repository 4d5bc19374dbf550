// The dataset build against real Postgres and S3, from simulated traffic to the file that training reads.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatasetSplitBucket } from '#domain/assignment/bucket.ts';
import { toSiblingKey } from '#domain/dataset/planner-dataset.ts';
import { createSplitter, datasetSplits, defaultSplitConfig } from '#domain/dataset/split.ts';
import { serializePlanRequest, toCanonicalJson } from '#domain/planning/canonical-json.ts';
import { serializeModelInput, toModelInput } from '#domain/planning/model-input.ts';
import type { PlanFeedbackPayload, PlanGeneratedPayload } from '#domain/planning/plan-shape.ts';
import { objectStoreEnvironment } from '#infra/system/environment.ts';
import { createObjectStore, type ObjectStore } from '#platform/object-store/object-store.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { committedCatalogue, runTraffic, sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';
import { writeDomainRows } from '#producers/planner-traffic/write-domain-rows.ts';
import { createTestDatabase, type TestDatabase } from '#tests/support/database.ts';
import { stackEndpoints } from '#tests/support/stack.ts';
import { writeTrainingRows } from '#tests/support/training-rows.ts';
import { type BuiltDataset, buildDataset, type DatasetManifest } from './build-dataset.ts';
import { datasetVersionOf, hashOf } from './dataset-files.ts';

const world = sampleWorld({ households: 30 });
const traffic = runTraffic({ world });
const end = new Date('2026-03-01T00:00:00Z');

let database: TestDatabase;
let pool: Pool;
let objectStore: ObjectStore;
let day = 0;
let buildDate: string;

const build = (
  change: { labelCutoff?: Date; from?: Date; to?: Date; objectStore?: ObjectStore } = {},
): Promise<BuiltDataset> =>
  buildDataset({ pool, objectStore, modelName: 'planner', buildDate, labelCutoff: end, codeCommit: null, ...change });

const manifestOf = async ({ objectKey }: Pick<BuiltDataset, 'objectKey'>): Promise<DatasetManifest> =>
  JSON.parse(Buffer.from(await objectStore.get(objectKey.replace('training.parquet', 'manifest.json'))).toString());

const versionRows = async () =>
  (
    await database.pool.query(
      'SELECT dataset_version, object_key, row_count, manifest FROM exp.dataset_versions WHERE build_date = $1 ORDER BY created_at',
      [buildDate],
    )
  ).rows;

/** Rows of one file as DuckDB reads them. */
async function readFile(objectKey: string): Promise<Record<string, unknown>[]> {
  const folder = await mkdtemp(join(tmpdir(), 'dataset-test-'));
  try {
    const path = join(folder, 'rows.parquet');
    await writeFile(path, await objectStore.get(objectKey));
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    const read = await connection.runAndReadAll(
      `SELECT * REPLACE (epoch_ms(generated_at) AS generated_at, epoch_ms(requested_at) AS requested_at,
         epoch_ms(reacted_at) AS reacted_at) FROM read_parquet('${path}')`,
    );
    const rows = read.getRowObjects();
    connection.closeSync();
    instance.closeSync();
    return rows;
  } finally {
    await rm(folder, { recursive: true });
  }
}

const readSplits = async (objectKey: string) => ({
  training: await readFile(objectKey),
  validation: await readFile(toSiblingKey(objectKey, 'validation.parquet')),
  test: await readFile(toSiblingKey(objectKey, 'test.parquet')),
});

/** Rows of all files in the order of the snapshot. */
async function readRows(objectKey: string): Promise<Record<string, unknown>[]> {
  const { training, validation, test } = await readSplits(objectKey);
  return [...training, ...validation, ...test].sort(
    (a, b) =>
      Number((a.generated_at as bigint) - (b.generated_at as bigint)) ||
      (String(a.plan_id) < String(b.plan_id) ? -1 : 1),
  );
}

/** The first accepted plan of a household of this group, because other rows of the household are in no split. */
function firstAccepted(group: 'training' | 'test') {
  const bucketOf = createDatasetSplitBucket();
  const { trainingShare, validationShare } = defaultSplitConfig;
  const isIn = (share: number) =>
    group === 'training' ? share < trainingShare : share >= trainingShare + validationShare;
  return traffic.find((event) => event.event_type === 'plan_accepted' && isIn(bucketOf(event.unit_id) / 10_000))!;
}

beforeAll(async () => {
  const { endpoint, region, accessKeyId, secretAccessKey, objectStoreBucket } = stackEndpoints().objectStore;
  objectStore = createObjectStore({ endpoint, region, accessKeyId, secretAccessKey, bucket: objectStoreBucket });
  database = await createTestDatabase();
  pool = database.poolAs('dataset_builder');
  await writeDomainRows(database.pool, world.rows);
  await writeTrainingRows(database.pool, traffic);
  // Not yet generated as far as this group knows: never in a dataset.
  await database.pool.query(
    `INSERT INTO exp.training_rows (plan_id, model_name, reaction_event_id, reaction, reacted_at, reaction_partition,
       reaction_offset, final_plan, edited_slots) VALUES ($1, 'planner', $2, 'accepted', '2026-01-10', 0, 999999, '{}', '[]')`,
    [randomUUID(), randomUUID()],
  );
  await database.pool.query(
    `INSERT INTO exp.consumer_offsets (consumer_group, topic, kafka_partition, next_offset, cluster_id, topic_id)
     VALUES ('dataset-builder', 'exp.events.v1', 0, 17, 'c', 't'), ('postgres-sink', 'exp.events.v1', 0, 99, 'c', 't')`,
  );
});

beforeEach(async () => {
  // A date far away and random, because the object store is shared with other runs.
  const start = Date.UTC(2300, 0, 1) + Math.floor(Math.random() * 500_000) * 86_400_000;
  day += 1;
  buildDate = new Date(start + day * 86_400_000).toISOString().slice(0, 10);
  await database.pool.query('DELETE FROM exp.dataset_versions');
});

afterEach(async () => {
  for (const { objectKey } of await objectStore.list(`datasets/planner/${buildDate}/`))
    await objectStore.delete(objectKey);
});

afterAll(async () => {
  await database.drop();
  objectStore.close();
});

describe('buildDataset', () => {
  it('writes every plan of a split once, in order, with its request as it was sent and its reaction', async () => {
    const built = await build();
    const splits = await readSplits(built.objectKey);
    const reactions = new Map(
      traffic.flatMap((event) => {
        if (event.event_type !== 'plan_accepted' && event.event_type !== 'plan_edited') return [];
        return [[(event.payload as PlanFeedbackPayload).plan_id, event] as const];
      }),
    );
    const generated = traffic
      .filter((event) => event.event_type === 'plan_generated')
      .map((event) => {
        const payload = event.payload as PlanGeneratedPayload;
        const reaction = reactions.get(payload.plan_id);
        const feedback = reaction?.payload as PlanFeedbackPayload | undefined;
        return {
          plan_id: payload.plan_id,
          household_id: payload.request.household.household_id,
          generated_at: BigInt(Date.parse(event.timestamp)),
          request: serializePlanRequest(payload.request),
          // What serving would give to a model, byte by byte.
          model_input: serializeModelInput(toModelInput(payload.request, committedCatalogue)),
          plan: toCanonicalJson(payload.plan),
          action_propensities: toCanonicalJson(payload.choices),
          experiments: toCanonicalJson(event.experiments),
          reaction: reaction?.event_type.slice('plan_'.length) ?? null,
          reacted_at: reaction === undefined ? null : BigInt(Date.parse(reaction.timestamp)),
          final_plan: feedback === undefined ? null : toCanonicalJson(feedback.final_plan),
          // The simulated requests were built from the very rows that are joined.
          enrichment_differences: '[]',
        };
      })
      .sort((a, b) => Number(a.generated_at - b.generated_at) || (a.plan_id < b.plan_id ? -1 : 1));
    const { splitOf, testFromMicros } = createSplitter({
      firstMicros: generated[0]!.generated_at * 1_000n,
      lastMicros: generated.at(-1)!.generated_at * 1_000n,
    });
    const placeOf = (row: (typeof generated)[number]) => splitOf(row.household_id, row.generated_at * 1_000n);
    for (const split of datasetSplits) {
      const expected = generated.filter((row) => {
        const place = placeOf(row);
        return 'split' in place && place.split === split;
      });
      expect(expected.length).toBeGreaterThan(0);
      expect(splits[split]).toMatchObject(expected);
      expect(splits[split]).toHaveLength(expected.length);
    }
    const rowCount = datasetSplits.reduce((sum, split) => sum + splits[split].length, 0);
    expect(generated.length).toBeGreaterThan(60);

    const sha256 = async (file: string) => hashOf(await objectStore.get(toSiblingKey(built.objectKey, file)));
    expect(built).toEqual({
      datasetVersion: datasetVersionOf({
        training: await sha256('training.parquet'),
        validation: await sha256('validation.parquet'),
        test: await sha256('test.parquet'),
      }),
      objectKey: `datasets/planner/${buildDate}/training.parquet`,
      rowCount,
      alreadyExisted: false,
    });
    const manifest = await manifestOf(built);
    expect(manifest).toMatchObject({
      dataset_version: built.datasetVersion,
      row_count: rowCount,
      schema_version: 2,
      model_input_version: 1,
      label_cutoff: end.toISOString(),
      test_from: new Date(Number(testFromMicros / 1_000n)).toISOString(),
      rows_with_differences: 0,
      consumer_positions: [{ consumer_group: 'dataset-builder', partition: 0, next_offset: 17 }],
    });
    const { excluded } = manifest;
    expect(excluded['duplicate-request']).toBe(0);
    expect(Object.values(excluded).reduce((sum, count) => sum + count, rowCount)).toBe(generated.length);
    for (const split of datasetSplits) {
      const { quality, file } = manifest.splits[split];
      expect(manifest.splits[split].sha256).toBe(await sha256(file));
      expect(quality.row_count).toBe(splits[split].length);
      expect(quality.reactions.unknown).toBe(splits[split].filter((row) => row.reaction === null).length);
      expect(quality.target_count).toBeGreaterThan(0);
      expect(quality.unknown_candidate_count).toBe(0);
    }
    expect(manifest.experiments.reduce((sum, { row_count }) => sum + row_count, 0)).toBe(rowCount);
    expect(await versionRows()).toEqual([
      { dataset_version: built.datasetVersion, object_key: built.objectKey, row_count: BigInt(rowCount), manifest },
    ]);
  });

  it('puts no household into two splits, and tests on later days than it trains on', async () => {
    const splits = await readSplits((await build()).objectKey);
    const households = datasetSplits.map((split) => new Set(splits[split].map((row) => row.household_id)));
    const all = households.flatMap((ids) => [...ids]);
    expect(new Set(all).size).toBe(all.length);
    const timesOf = (split: 'training' | 'validation' | 'test') => splits[split].map((row) => Number(row.generated_at));
    const firstTest = Math.min(...timesOf('test'));
    expect(Math.max(...timesOf('training'), ...timesOf('validation'))).toBeLessThan(firstTest);
  });

  it('takes plans from the asked days only, and a request asked twice once', async () => {
    const from = new Date('2026-01-08T00:00:00Z');
    const to = new Date('2026-01-15T00:00:00Z');
    const built = await build({ from, to });
    for (const row of await readRows(built.objectKey)) {
      expect(row.generated_at as bigint).toBeGreaterThanOrEqual(BigInt(from.getTime()));
      expect(row.generated_at as bigint).toBeLessThan(BigInt(to.getTime()));
    }
    const copied = (await readRows(built.objectKey))[0]!;
    await database.pool.query(
      `INSERT INTO exp.training_rows SELECT (jsonb_populate_record(t, jsonb_build_object('plan_id', $2::text, 'generated_event_id', $3::text))).*
       FROM exp.training_rows t WHERE plan_id = $1`,
      [copied.plan_id, randomUUID(), randomUUID()],
    );
    try {
      const again = await build({ from, to });
      expect(again.rowCount).toBe(built.rowCount);
      expect((await manifestOf(again)).excluded['duplicate-request'] + Number(again.alreadyExisted)).toBe(1);
    } finally {
      await database.pool.query(
        `DELETE FROM exp.training_rows a USING exp.training_rows b
         WHERE a.plan_id <> b.plan_id AND b.plan_id = $1 AND a.request = b.request`,
        [copied.plan_id],
      );
    }
  });

  it('builds the same content once, however often and at how many places it is asked to', async () => {
    const all = await Promise.all([build(), build(), build()]);
    const again = await build({ labelCutoff: new Date(end.getTime() + 1) });
    expect(new Set([...all, again].map(({ datasetVersion }) => datasetVersion)).size).toBe(1);
    expect([...all, again].filter(({ alreadyExisted }) => !alreadyExisted)).toHaveLength(1);
    expect(await versionRows()).toHaveLength(1);
    expect(await objectStore.list(`datasets/planner/${buildDate}/`)).toHaveLength(4);
  });

  it('leaves out what came at or after the label cut-off, and keeps both builds of a day', async () => {
    const whole = await build();
    // The cut-off is at the end of the days that are left: test time.
    const reaction = firstAccepted('test');
    const planId = (reaction.payload as PlanFeedbackPayload).plan_id;
    const early = await build({ labelCutoff: new Date(reaction.timestamp) });
    expect(early.objectKey).toBe(`datasets/planner/${buildDate}/v-${early.datasetVersion}/training.parquet`);
    expect((await manifestOf(early)).dataset_version).toBe(early.datasetVersion);
    const rows = await readRows(early.objectKey);
    const cutoffMs = BigInt(Date.parse(reaction.timestamp));
    expect(rows.find(({ plan_id }) => plan_id === planId)).toMatchObject({ reaction: null, final_plan: null });
    for (const row of rows) {
      expect((row.generated_at as bigint) < cutoffMs).toBe(true);
      expect(row.reacted_at === null || (row.reacted_at as bigint) < cutoffMs).toBe(true);
    }
    const later = await build({ labelCutoff: new Date(Number(cutoffMs) + 1) });
    expect((await readRows(later.objectKey)).find(({ plan_id }) => plan_id === planId)).toMatchObject({
      reaction: 'accepted',
    });
    expect(hashOf(await objectStore.get(whole.objectKey))).toBe((await manifestOf(whole)).splits.training.sha256);
    expect(await versionRows()).toHaveLength(3);
  });

  it('takes the latest reaction before the cut-off although a later one is known', async () => {
    const reaction = firstAccepted('training');
    const { plan_id, final_plan } = reaction.payload as PlanFeedbackPayload;
    await database.pool.query(
      `INSERT INTO exp.plan_reactions (plan_id, reacted_at, event_id, reaction, final_plan, edited_slots, kafka_partition, kafka_offset)
       VALUES ($1, '2026-02-20', $2, 'edited', $3, '[]', 0, 500000)`,
      [plan_id, randomUUID(), final_plan],
    );
    const find = async (labelCutoff: Date) =>
      (await readRows((await build({ labelCutoff })).objectKey)).find((row) => row.plan_id === plan_id);
    try {
      expect(await find(new Date('2026-02-20T00:00:00Z'))).toMatchObject({ reaction: 'accepted' });
      expect(await find(end)).toMatchObject({ reaction: 'edited' });
    } finally {
      await database.pool.query(`DELETE FROM exp.plan_reactions WHERE reacted_at = '2026-02-20'`);
    }
  });

  it('records where the domain rows differ from the request, and keeps the row', async () => {
    const { household_id } = world.rows.households[0]!;
    const before = await build();
    await database.pool.query('UPDATE exp.households SET members = members + 1 WHERE household_id = $1', [
      household_id,
    ]);
    try {
      const after = await build();
      expect(after.rowCount).toBe(before.rowCount);
      const changed = (await readRows(after.objectKey)).filter((row) => row.enrichment_differences !== '[]');
      expect(changed.length).toBeGreaterThan(0);
      for (const row of changed) {
        expect(row.household_id).toBe(household_id);
        expect(JSON.parse(row.enrichment_differences as string)).toMatchObject([{ path: 'household.member_count' }]);
      }
      expect((await manifestOf(after)).rows_with_differences).toBe(changed.length);
    } finally {
      await database.pool.query('UPDATE exp.households SET members = members - 1 WHERE household_id = $1', [
        household_id,
      ]);
    }
  });

  it('heals after a crash before the file, between file and row, and with other content in between', async () => {
    const crashing: ObjectStore = {
      ...objectStore,
      put: async (objectKey, body, options) => {
        if (objectKey.endsWith('.parquet')) throw new Error('crash before the file');
        return objectStore.put(objectKey, body, options);
      },
    };
    await expect(build({ objectStore: crashing })).rejects.toThrow('crash before the file');
    await database.pool.query('REVOKE INSERT ON exp.dataset_versions FROM dataset_builder');
    try {
      await expect(build()).rejects.toThrow('permission denied');
    } finally {
      await database.pool.query('GRANT INSERT ON exp.dataset_versions TO dataset_builder');
    }
    expect(await versionRows()).toEqual([]);
    const hashOfFile = async (split: string) =>
      hashOf(await objectStore.get(`datasets/planner/${buildDate}/${split}.parquet`));
    const orphan = datasetVersionOf({
      training: await hashOfFile('training'),
      validation: await hashOfFile('validation'),
      test: await hashOfFile('test'),
    });

    const other = await build({ labelCutoff: new Date('2026-01-15T00:00:00Z') });
    expect(other.objectKey).toContain(`/v-${other.datasetVersion}/`);
    expect((await versionRows()).map((row) => row.dataset_version).sort()).toEqual(
      [orphan, other.datasetVersion].sort(),
    );
    await database.pool.query('DELETE FROM exp.dataset_versions');
    expect(await build()).toMatchObject({ datasetVersion: orphan, alreadyExisted: false });
    expect(await build()).toMatchObject({ datasetVersion: orphan, alreadyExisted: true });
  });

  it('runs as a process with its settings from the environment', async () => {
    const run = async (environment: Record<string, string>) => {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], {
        env: { PATH: process.env.PATH ?? '', ...environment },
      });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (text) => (stdout += text));
      child.stderr.on('data', (text) => (stderr += text));
      const exitCode = await new Promise((resolve) => child.on('close', resolve));
      return { exitCode, stdout, stderr };
    };
    const good = await run({
      POSTGRES_URL: database.urlAs('dataset_builder'),
      ...objectStoreEnvironment(stackEndpoints()),
      DATASET_BUILD_DATE: buildDate,
      DATASET_LABEL_CUTOFF: end.toISOString(),
    });
    expect(good).toMatchObject({ exitCode: 0, stderr: '' });
    expect(JSON.parse(good.stdout)).toEqual({ ...(await build()), alreadyExisted: false, mlflowRunId: null });
    const bad = await run({ DATASET_BUILD_DATE: '2026-02-30' });
    expect(bad.exitCode).toBe(2);
    for (const name of ['POSTGRES_URL', 'S3_BUCKET', 'DATASET_BUILD_DATE']) expect(bad.stderr).toContain(name);
  });
});
