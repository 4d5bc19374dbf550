// A database that both workloads filled through the services, Kafka and the groups: what analysts and dashboards read.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { policyIdOf, policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import type { DefinitionBody } from '#domain/definitions/definition-body.ts';
import { createCatalogueFromSource } from '#domain/planning/catalogue.ts';
import type { StackEndpoints } from '#infra/local/components.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';
import { applyDefinition } from '#producers/definition-store/change-definition.ts';
import { applyPolicies } from '#producers/definition-store/policy-rows.ts';
import { planOpenBandit, runOpenBandit } from '#producers/open-bandit/run-open-bandit.ts';
import { plannerExperiment } from '#producers/planner-traffic/planner-experiment.ts';
import { runPlannerTraffic } from '#producers/planner-traffic/run-planner-traffic.ts';
import { simulateWorld } from '#producers/planner-traffic/world.ts';
import { writeDomainRows } from '#producers/planner-traffic/write-domain-rows.ts';
import { createHttpWorkloadPort } from '#producers/workload-client/http-workload-port.ts';
import type { ExperimentDefinition } from '#producers/workload-client/workload-port.ts';
import { recordAll } from '#workers/guardrail-monitor/record-results.ts';
import { until } from './poll.ts';
import { startTestSystem, type TestSystem } from './test-system.ts';

const author = { actor: 'test', reason: 'data for analysts' };
const policyName = 'meal-planner';
const modelName = 'planner_model';
const impressions = 2_000;
const fileOf = (name: string): URL => new URL(`../../data/${name}`, import.meta.url);

/** Two versions of one policy that have both been in production, so that an experiment may divide traffic evenly between them. */
async function definePolicies(pool: Pool): Promise<void> {
  const versions = [1, 2].map((version) => ({
    policyVersionId: policyVersionIdOf(policyName, version),
    policyName,
    version,
    modelName,
    modelVersion: String(version),
    configDefaults: {},
  }));
  await inTransaction(pool, (tx) =>
    applyPolicies(
      tx,
      [{ policyId: policyIdOf(policyName), name: policyName, description: 'Who plans the week', versions }],
      author,
    ),
  );
  await pool.query(`UPDATE exp.policy_versions SET first_production_at = now(), status = 'production'`);
}

async function define(pool: Pool, definition: ExperimentDefinition): Promise<void> {
  const body = { ...definition, status: 'running' as const, variants: [...definition.variants] };
  const result = await inTransaction(pool, (tx) => applyDefinition(tx, body as DefinitionBody, author));
  if (result.status !== 'created') throw new Error(JSON.stringify(result));
}

/** Models and replays as the lifecycle writes them: one dataset, both versions replayed against the first. */
async function storeReplays(pool: Pool): Promise<void> {
  await pool.query(
    `INSERT INTO exp.dataset_versions (dataset_version, model_name, build_date, object_key, manifest, row_count, label_cutoff)
     VALUES ('planner_model/2026-01-19', $1, '2026-01-19', 'datasets/planner_model/2026-01-19/training.parquet', '{}', 400, '2026-01-19')`,
    [modelName],
  );
  await pool.query(
    `INSERT INTO exp.offline_replay_results (model_name, model_version, dataset_version, baseline_model_version, metrics, verdict,
       reasons, created_at)
     SELECT $1, r.version, 'planner_model/2026-01-19', '1', r.metrics, r.verdict, r.reasons, r.at
     FROM (VALUES
       ('1', '{"plan_alignment_score": 0.61, "constraint_respect_score": 1, "edit_distance_score": 0.72, "acceptance_rate": 0.52}'::jsonb,
        'inconclusive', '["it is the baseline"]'::jsonb, timestamptz '2026-01-19T06:00:00Z'),
       ('2', '{"plan_alignment_score": 0.66, "constraint_respect_score": 1, "edit_distance_score": 0.79, "acceptance_rate": 0.6}'::jsonb,
        'pass', '[]'::jsonb, timestamptz '2026-01-20T06:00:00Z')) AS r (version, metrics, verdict, reasons, at)`,
    [modelName],
  );
}

async function sendPlannerTraffic({ database }: TestSystem, port: ReturnType<typeof portOf>): Promise<number> {
  await define(database.pool, {
    ...plannerExperiment,
    variants: plannerExperiment.variants.map((variant, index) => ({
      ...variant,
      config: { ...variant.config, policy_version_id: policyVersionIdOf(policyName, index + 1) },
    })),
  });
  const catalogue = createCatalogueFromSource(JSON.parse(readFileSync(fileOf('recipes.json'), 'utf8')));
  const world = simulateWorld({ seed: 5, households: 120, days: 12, start: '2026-01-05', catalogue });
  await writeDomainRows(database.pool, world.rows);
  const effects = { candidate: { acceptance: 0.1, latencyFactor: 1.1 } };
  const { events } = await runPlannerTraffic({ world, effects, experiments: [plannerExperiment.key] }, port);
  if (events.rejected > 0) throw new Error(`${events.rejected} events were rejected`);
  return events.accepted;
}

/** The first impressions of the committed file. */
async function replayOpenBandit({ database }: TestSystem, port: ReturnType<typeof portOf>): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'trialstream-impressions-'));
  try {
    const path = join(folder, 'open-bandit-men.csv');
    const lines = gunzipSync(readFileSync(fileOf('open-bandit-men.csv.gz')))
      .toString('utf8')
      .split('\n');
    await writeFile(path, `${lines.slice(0, impressions + 1).join('\n')}\n`);
    const plan = await planOpenBandit(path);
    await define(database.pool, plan.definition);
    await runOpenBandit(plan, port);
    return impressions;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function portOf({ system, access }: TestSystem) {
  return createHttpWorkloadPort({
    assignmentUrl: system.process('assignment-service').url,
    ingestionUrl: system.process('ingestion-service').url,
    apiKey: access.ingestKey,
    adminKey: access.adminKey,
  });
}

/** Starts the system, lets both workloads run, waits until every group has it all and records the results, as the monitor does. */
export async function startWithWorkloadData(endpoints?: StackEndpoints): Promise<TestSystem> {
  const run = await startTestSystem(
    {
      'assignment-service': 1,
      'ingestion-service': 1,
      'postgres-sink': 1,
      'metrics-aggregator': 1,
      'dataset-builder': 1,
      'parquet-archiver': 1,
    },
    endpoints === undefined ? {} : { endpoints },
  );
  try {
    const { pool } = run.database;
    await definePolicies(pool);
    const port = portOf(run);
    const sent = (await sendPlannerTraffic(run, port)) + (await replayOpenBandit(run, port));
    await until(
      'every group has all events',
      async () => {
        const { rows } = await pool.query<{ stored: bigint; claimed: bigint; archived: bigint; rows: bigint }>(
          `SELECT (SELECT count(*) FROM exp.events) AS stored, (SELECT count(*) FROM exp.event_claims) AS claimed,
             (SELECT coalesce(sum(row_count), 0) FROM exp.archive_manifest WHERE status = 'committed')::bigint AS archived,
             (SELECT count(*) FROM exp.training_rows WHERE request IS NOT NULL AND reaction IS NOT NULL) AS rows`,
        );
        const { stored, claimed, archived, rows: paired } = rows[0]!;
        return [stored, claimed, archived].every((count) => count === BigInt(sent)) && paired > 0n;
      },
      { deadlineMs: 180_000 },
    );
    await storeReplays(pool);
    await recordAll(run.database.poolAs('guardrail_monitor'), new Map(), (error) => {
      throw error;
    });
    return run;
  } catch (error) {
    await run.stop();
    throw error;
  }
}
