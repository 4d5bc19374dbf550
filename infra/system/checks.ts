// What `npm start` checks after a run: every store against the input file and against each other.
import avro from 'avsc';
import { readEventsSql } from '#domain/archive/archive-layout.ts';
import type { Kafka } from '#platform/kafka/kafka-client.ts';
import { readTopic } from '#platform/kafka/read-topic.ts';
import { downloadObjects } from '#platform/object-store/download-objects.ts';
import type { ObjectStore } from '#platform/object-store/object-store.ts';
import { openScratchDatabase } from '#platform/parquet/scratch-database.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { countOpenBandit } from '#producers/open-bandit/count-open-bandit.ts';
import type { AssignmentRecord } from '#schemas/generated/records.ts';
import { loadRecordSchema } from '#schemas/load-schema.ts';
import { topics } from '#schemas/topics.ts';
import type { WorkloadResults } from './workloads.ts';

export type Check = { readonly name: string; readonly ok: boolean; readonly detail: string };

export type VariantFigures = {
  readonly name: string;
  readonly events: number;
  readonly clicks: number;
  readonly mean: number;
};

export type Figures = {
  readonly eventsInPostgres: number;
  readonly eventsInArchive: number;
  readonly archiveObjects: number;
  readonly assignments: number;
  readonly trainingRows: number;
  readonly variants: readonly VariantFigures[];
};

export type CheckDeps = { pool: Pool; kafka: Kafka; objectStore: ObjectStore; results: WorkloadResults };

const compare = (name: string, expected: unknown, found: unknown): Check => {
  const [left, right] = [JSON.stringify(expected), JSON.stringify(found)];
  const ok = left === right;
  return {
    name,
    ok,
    detail: ok ? (left.length > 80 ? 'equal' : left) : `expected ${left.slice(0, 400)}, found ${right.slice(0, 400)}`,
  };
};

const countOf = async (pool: Pool, sql: string, values: unknown[] = []): Promise<number> =>
  Number((await pool.query<{ count: bigint }>(sql, values)).rows[0]!.count);

/** Events and clicks per variant from the streaming aggregates. */
async function readVariants(pool: Pool, experimentKey: string): Promise<VariantFigures[]> {
  const found = await pool.query<{ name: string; events: bigint; clicks: number }>(
    `SELECT variant_name AS name, sum(count)::bigint AS events, sum(sum) AS clicks FROM exp.v_experiment_metrics
     WHERE experiment_key = $1 AND metric_name = 'click' AND granularity = 'day' GROUP BY 1 ORDER BY 1`,
    [experimentKey],
  );
  return found.rows.map(({ name, events, clicks }) => ({
    name,
    events: Number(events),
    clicks,
    mean: clicks / Number(events),
  }));
}

async function checkAggregates(deps: CheckDeps, variants: readonly VariantFigures[]): Promise<Check[]> {
  const { path, experimentKey } = deps.results.openBandit;
  const direct = await countOpenBandit(path);
  const hourly = await deps.pool.query<{ policy: string; start: Date; events: bigint; clicks: number }>(
    `SELECT variant_name AS policy, bucket_start AS start, count AS events, sum AS clicks FROM exp.v_experiment_metrics
     WHERE experiment_key = $1 AND metric_name = 'click' AND granularity = 'hour' ORDER BY 1, 2`,
    [experimentKey],
  );
  const quantile = await deps.pool.query<{ different: bigint }>(
    `SELECT count(*) AS different FROM exp.v_experiment_metrics m
     JOIN LATERAL (SELECT sum(b.count) AS binned FROM exp.metric_aggregate_bins b
       WHERE (b.experiment_id, b.variant_id, b.metric_name, b.granularity, b.bucket_start)
           = (m.experiment_id, m.variant_id, m.metric_name, m.granularity, m.bucket_start)) s ON true
     WHERE s.binned IS DISTINCT FROM m.count`,
  );
  return [
    compare(
      'aggregates per variant equal a direct count of the file',
      direct.byPolicy.map(({ policy, events, clicks }) => [policy, events, clicks]),
      variants.map(({ name, events, clicks }) => [name, events, clicks]),
    ),
    compare(
      'aggregates per variant and hour equal a direct count of the file',
      direct.byHour.map(({ policy, hourStart, events, clicks }) => [policy, hourStart, events, clicks]),
      hourly.rows.map(({ policy, start, events, clicks }) => [policy, start.toISOString(), Number(events), clicks]),
    ),
    compare('every aggregate has a sketch of all its values', 0, Number(quantile.rows[0]!.different)),
  ];
}

/** Distinct events in the archive, read by DuckDB through the manifest, and a comparison by identity with exp.events. */
async function checkArchive(deps: CheckDeps): Promise<{ checks: Check[]; events: number; objects: number }> {
  const manifest = await deps.pool.query<{ object_key: string }>(
    `SELECT object_key FROM exp.archive_manifest WHERE status = 'committed' AND row_count > 0 ORDER BY object_key`,
  );
  await using scratch = await openScratchDatabase();
  const keys = manifest.rows.map(({ object_key }) => object_key);
  const paths = await downloadObjects(deps.objectStore, keys, scratch.folder);
  let digest: [number, string] = [0, '0'];
  if (paths.length > 0) {
    const reader = await scratch.connection.runAndReadAll(
      `SELECT count(*)::DOUBLE, coalesce(sum(('0x' || substr(md5(event_id || event_date::VARCHAR), 1, 12))::BIGINT), 0)::VARCHAR
       FROM (${readEventsSql(paths)})`,
    );
    digest = reader.getRowsJS()[0] as [number, string];
  }
  const stored = await deps.pool.query<{ count: bigint; digest: string }>(
    `SELECT count(*) AS count, coalesce(sum(('x' || substr(md5(event_id::text || event_date::text), 1, 12))::bit(48)::bigint), 0)::text AS digest
     FROM exp.events`,
  );
  const { count, digest: storedDigest } = stored.rows[0]!;
  const gaps = await countOf(
    deps.pool,
    `SELECT count(*) FROM (SELECT first_offset, lag(last_offset) OVER (PARTITION BY topic, kafka_partition ORDER BY first_offset) AS before
       FROM exp.archive_manifest WHERE kind = 'segment') m WHERE before + 1 <> first_offset`,
  );
  return {
    events: digest[0],
    objects: paths.length,
    checks: [
      compare(
        'the archive read by DuckDB holds the events of Postgres, each once',
        [Number(count), storedDigest],
        [digest[0], digest[1]],
      ),
      compare('archive ranges have no gap and no overlap', 0, gaps),
    ],
  };
}

/** The compacted topic, folded last per key, against exp.assignments. */
async function checkAssignments(deps: CheckDeps): Promise<Check> {
  const type = avro.Type.forSchema(loadRecordSchema('assignment'));
  const folded = new Map<string, string>();
  for (const { key, value } of await readTopic(deps.kafka, topics.assignments.name)) {
    if (key === null) continue;
    if (value === null) folded.delete(key.toString());
    else folded.set(key.toString(), (type.fromBuffer(value.subarray(5)) as AssignmentRecord).variant_id);
  }
  const stored = await deps.pool.query<{ key: string; variant_id: string }>(
    `SELECT experiment_id || ':' || unit_id AS key, variant_id FROM exp.assignments`,
  );
  const different = stored.rows.filter(({ key, variant_id }) => folded.get(key) !== variant_id).length;
  return compare(
    'assignments in Postgres equal the compacted topic folded last per key',
    { assignments: stored.rows.length, different: 0 },
    { assignments: folded.size, different },
  );
}

/** Runs every check. Expects all groups at the end of their topic. */
export async function runChecks(deps: CheckDeps): Promise<{ checks: Check[]; figures: Figures }> {
  const { pool, results } = deps;
  const { openBandit, planner } = results;
  const variants = await readVariants(pool, openBandit.experimentKey);
  const archive = await checkArchive(deps);
  const openBanditRows = await countOf(
    pool,
    `SELECT count(*) FROM exp.event_variants WHERE experiment_id = (SELECT id FROM exp.experiments WHERE key = $1 ORDER BY iteration DESC LIMIT 1)`,
    [openBandit.experimentKey],
  );
  const plans = await countOf(pool, `SELECT count(*) FROM exp.events WHERE event_type = 'plan_generated'`);
  const reactions = await countOf(
    pool,
    `SELECT count(DISTINCT payload ->> 'plan_id') FROM exp.events WHERE event_type IN ('plan_accepted', 'plan_edited')`,
  );
  const trainingRows = await countOf(pool, 'SELECT count(*) FROM exp.training_rows WHERE request IS NOT NULL');
  const labeled = await countOf(pool, 'SELECT count(*) FROM exp.training_rows WHERE reaction IS NOT NULL');
  const mismatched = await countOf(pool, 'SELECT count(*) FROM exp.events WHERE mismatched_experiment_ids IS NOT NULL');
  return {
    figures: {
      eventsInPostgres: await countOf(pool, 'SELECT count(*) FROM exp.events'),
      eventsInArchive: archive.events,
      archiveObjects: archive.objects,
      assignments: await countOf(pool, 'SELECT count(*) FROM exp.assignments'),
      trainingRows,
      variants,
    },
    checks: [
      compare(
        'every event was accepted',
        [openBandit.scan.impressions, 0, 0],
        [openBandit.events.accepted, openBandit.events.rejected, planner.events.rejected],
      ),
      compare('Postgres has every event of the file', openBandit.scan.impressions, openBanditRows),
      ...(await checkAggregates(deps, variants)),
      ...archive.checks,
      await checkAssignments(deps),
      compare('no event contradicts its stored assignment', 0, mismatched),
      compare(
        'one training row per plan, with its reaction when there is one',
        [plans, reactions],
        [trainingRows, labeled],
      ),
    ],
  };
}
