// Verdicts of the offline gate, as replays store them, for tests that are about what follows from one.
import type { Pool } from '#platform/postgres/pool.ts';

export async function storeVerdict(
  pool: Pool,
  { model, verdict }: { model: { name: string; version: number | string }; verdict: 'pass' | 'fail' | 'inconclusive' },
): Promise<void> {
  await pool.query(
    `INSERT INTO exp.dataset_versions (dataset_version, model_name, label_cutoff, build_date, object_key, manifest, row_count)
     VALUES ('d', 'planner_model', now(), now(), 'datasets/planner_model/d', '{}', 1) ON CONFLICT DO NOTHING`,
  );
  await pool.query(
    `INSERT INTO exp.offline_replay_results (model_name, model_version, dataset_version, baseline_model_name, baseline_model_version, metrics,
       verdict)
     VALUES ($1, $2, 'd', 'planner-rule-based', '1', '{"scores": {"plan_alignment_score": {"difference": 0.1}}}', $3)`,
    [model.name, String(model.version), verdict],
  );
}
