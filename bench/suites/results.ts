// Results of an experiment: how long one read takes with a million units and five moment metrics, from Postgres with a warm cache.
import { readResults } from '#analytics/results/read-results.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { type Finding, toLimitFinding } from '../findings.ts';
import type { BenchOptions } from '../options.ts';
import type { BenchStack } from '../support/bench-stack.ts';
import { benchExperiment, benchUnitType } from '../support/workload.ts';

const limitSeconds = 2;
/** Names in the rows; the definitions of the metrics say which of them they are about. */
const metricNames = ['accepted', 'edits', 'latency_ms', 'cost_usd', 'plan_alignment_score'];
const metricsOfExperiment = {
  primary: 'acceptance_rate',
  secondary: ['edits_per_plan', 'plan_alignment'],
  guardrails: [{ metric: 'latency' }, { metric: 'cost_per_plan' }],
};
const tables = ['assignments', 'first_exposures', 'unit_metrics'].map((table) => `exp.${table}`).join(', ');

export async function measureResults(
  bench: BenchStack,
  options: BenchOptions,
  onProgress: (text: string) => void,
): Promise<Finding[]> {
  if (!options.only.has('results')) return [];
  const units = options.resultUnits;
  onProgress(`filling in ${units.toLocaleString('en')} units with ${metricNames.length} metrics each`);
  await fillUnits(bench, units);
  const pool = createPostgresPool({
    url: bench.databaseUrl,
    poolSize: 1,
    applicationName: 'bench-results',
    statementTimeoutMs: 300_000,
  });
  const seconds: number[] = [];
  try {
    // One more than is counted: the first one warms the cache.
    for (let repetition = 0; repetition <= options.repetitions; repetition += 1) {
      const startedAt = performance.now();
      const results = await readResults(pool, benchExperiment.id);
      const took = (performance.now() - startedAt) / 1_000;
      const { analyzed } = results!.units;
      if (analyzed !== units) throw new Error(`results are about ${analyzed} units, not about ${units}`);
      if (repetition === 0) continue;
      seconds.push(took);
      onProgress(`${repetition}/${options.repetitions} results: ${took.toFixed(2)} s`);
    }
  } finally {
    await pool.end();
    await bench.pool.query(`TRUNCATE ${tables} CASCADE`);
    await bench.pool.query(`UPDATE exp.experiments SET metrics = '{}' WHERE id = $1`, [benchExperiment.id]);
  }
  const name = `results of ${units.toLocaleString('en')} units with ${metricNames.length} metrics`;
  return [toLimitFinding(name, { unit: 's', values: seconds }, { limit: limitSeconds, exclusive: true })];
}

/** Rows as the assignment service and the metrics-aggregator leave them. */
async function fillUnits({ pool }: BenchStack, units: number): Promise<void> {
  const { id, variants } = benchExperiment;
  await pool.query(`TRUNCATE ${tables} CASCADE`);
  await pool.query('UPDATE exp.experiments SET metrics = $2 WHERE id = $1', [id, metricsOfExperiment]);
  await pool.query(
    `INSERT INTO exp.assignments (experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version, probability,
       enrolment_share, source, assigned_at)
     SELECT $1, md5(i::text)::uuid::text, $4, ($2::uuid[])[1 + i % 2], i % 10000, 1, 0.5, 1, 'hashed',
       timestamptz '2026-03-01' + i * interval '1 second' FROM generate_series(1, $3::integer) AS i`,
    [id, variants.map((variant) => variant.id), units, benchUnitType],
  );
  await pool.query(
    `INSERT INTO exp.first_exposures (experiment_id, unit_id, variant_id, first_exposed_at, assigned_variant_id, assigned_at)
     SELECT experiment_id, unit_id, variant_id, assigned_at + interval '1 minute', variant_id, assigned_at FROM exp.assignments`,
  );
  await pool.query(
    `INSERT INTO exp.unit_metrics (experiment_id, variant_id, unit_id, metric_name, count, sum, min, max)
     SELECT experiment_id, variant_id, unit_id, metric, 3, random() * 3, 0, 1 FROM exp.first_exposures CROSS JOIN unnest($1::text[]) AS metric`,
    [metricNames],
  );
  await pool.query(`VACUUM ANALYZE ${tables}`);
}
