// Measures results of an experiment with 1,000,000 units and five metrics: wall time of one read, warm. `node bench/results.ts [units]`
import { readResults } from '#analytics/results/read-results.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { startBenchStack } from './support/bench-stack.ts';
import { benchExperiment } from './support/workload.ts';

const units = Number(process.argv[2] ?? 1_000_000);
const names = ['accepted', 'edits', 'latency_ms', 'cost_usd', 'plan_alignment_score'];

await using resources = new AsyncDisposableStack();
const say = (text: string): void => void process.stderr.write(`${text}\n`);
const { stack, pool } = await startBenchStack(resources, say);
const { id, variants } = benchExperiment;
await pool.query(
  `UPDATE exp.experiments SET metrics = '{"primary": "acceptance_rate", "secondary": ["edits_per_plan", "plan_alignment"],
     "guardrails": [{"metric": "latency"}, {"metric": "cost_per_plan"}]}' WHERE id = $1`,
  [id],
);
say(`filling ${units} units`);
await pool.query(
  `INSERT INTO exp.assignments (experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version, probability,
     enrolment_share, source, assigned_at)
   SELECT $1, md5(i::text)::uuid::text, 'household', ($2::uuid[])[1 + i % 2], i % 10000, 1, 0.5, 1, 'hashed',
     timestamptz '2026-03-01' + i * interval '1 second' FROM generate_series(1, $3::integer) AS i`,
  [id, variants.map((variant) => variant.id), units],
);
await pool.query(
  `INSERT INTO exp.first_exposures (experiment_id, unit_id, variant_id, first_exposed_at, assigned_variant_id, assigned_at)
   SELECT experiment_id, unit_id, variant_id, assigned_at + interval '1 minute', variant_id, assigned_at FROM exp.assignments`,
);
await pool.query(
  `INSERT INTO exp.unit_metrics (experiment_id, variant_id, unit_id, metric_name, count, sum, min, max)
   SELECT experiment_id, variant_id, unit_id, metric, 3, random() * 3, 0, 1 FROM exp.first_exposures CROSS JOIN unnest($1::text[]) AS metric`,
  [names],
);
for (const table of ['assignments', 'first_exposures', 'unit_metrics']) await pool.query(`VACUUM ANALYZE exp.${table}`);
const reader = createPostgresPool({
  url: stack.endpoints.postgres.superuserUrl,
  poolSize: 1,
  applicationName: 'bench-results',
  statementTimeoutMs: 300_000,
});
resources.defer(() => reader.end());
const seconds: number[] = [];
for (let round = 0; round < 6; round++) {
  const began = performance.now();
  const results = await readResults(reader, id);
  if (results?.units.analyzed !== units) throw new Error(`${results?.units.analyzed} units were analyzed`);
  // The first one warms the cache.
  if (round > 0) seconds.push((performance.now() - began) / 1_000);
}
seconds.sort((a, b) => a - b);
process.stdout.write(
  `results of ${units} units and ${names.length} metrics: median ${seconds[2]!.toFixed(2)} s, best ${seconds[0]!.toFixed(2)} s of ${seconds.length}\n`,
);
