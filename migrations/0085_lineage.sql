-- Lineage for analysts: from variants through policy version, model and training run to the dataset, and from plans to datasets.
ALTER TABLE exp.offline_replay_results ADD COLUMN training_run_id text;
ALTER TABLE exp.offline_replay_results ADD COLUMN training_dataset_version text;
COMMENT ON COLUMN exp.offline_replay_results.training_run_id IS 'Run in MLflow that made the model, as the registry said when it was judged: the chain outlives a deleted model version';
COMMENT ON COLUMN exp.offline_replay_results.training_dataset_version IS 'Dataset that the model was trained on, as the registry said then; null for a planner that was not trained';

CREATE VIEW exp.v_lineage AS
SELECT x.id AS experiment_id, x.key AS experiment_key, x.iteration, x.status AS experiment_status, v.id AS variant_id,
  v.name AS variant_name, v.is_control, pv.id AS policy_version_id, p.name || '@' || pv.version AS policy_version_name,
  pv.mlflow_model_name, pv.mlflow_model_version,
  origin.training_run_id, d.dataset_version, d.object_key AS dataset_object_key, d.mlflow_run_id AS dataset_run_id,
  d.row_count AS dataset_rows, d.label_cutoff, d.manifest -> 'offset_ranges' AS dataset_offset_ranges,
  verdict.id AS replay_id, verdict.verdict AS replay_verdict, verdict.dataset_version AS replay_dataset_version, verdict.created_at AS replayed_at
FROM exp.experiments x
JOIN exp.variants v ON v.experiment_id = x.id
JOIN exp.policy_versions pv ON pv.id::text = v.config ->> 'policy_version_id'
JOIN exp.policies p ON p.id = pv.policy_id
LEFT JOIN LATERAL (
  SELECT r.training_run_id, r.training_dataset_version FROM exp.offline_replay_results r
  WHERE r.model_name = pv.mlflow_model_name AND r.model_version = pv.mlflow_model_version AND r.training_run_id IS NOT NULL
  ORDER BY r.created_at DESC LIMIT 1
) origin ON true
LEFT JOIN LATERAL (
  SELECT r.id, r.verdict, r.dataset_version, r.created_at FROM exp.offline_replay_results r
  WHERE r.model_name = pv.mlflow_model_name AND r.model_version = pv.mlflow_model_version
  ORDER BY r.created_at DESC LIMIT 1
) verdict ON true
LEFT JOIN exp.dataset_versions d ON d.dataset_version = origin.training_dataset_version;
COMMENT ON VIEW exp.v_lineage IS 'Every variant that names a policy version, with the model behind it, its latest verdict, and the run and dataset it was trained on. Join exp.assignments by experiment_id and variant_id, exp.v_plan_lineage by dataset_version';
COMMENT ON COLUMN exp.v_lineage.training_run_id IS 'As the latest replay recorded it; null for a model that was never judged';
COMMENT ON COLUMN exp.v_lineage.dataset_offset_ranges IS 'Offsets of exp.events.v1 that rows of the dataset came from: [first_offset, end_offset) by partition';

CREATE VIEW exp.v_plan_lineage AS
SELECT t.plan_id, t.household_id, t.generated_event_id, t.reaction_event_id, t.generated_at, t.generated_partition, t.generated_offset,
  t.policy_version_id, p.name || '@' || pv.version AS policy_version_name, pv.mlflow_model_name, pv.mlflow_model_version,
  d.dataset_version, d.object_key AS dataset_object_key
FROM exp.training_rows t
LEFT JOIN exp.policy_versions pv ON pv.id = t.policy_version_id
LEFT JOIN exp.policies p ON p.id = pv.policy_id
LEFT JOIN exp.dataset_versions d ON d.model_name = t.model_name AND t.generated_at < d.label_cutoff
  AND (d.manifest ->> 'generated_from' IS NULL OR t.generated_at >= (d.manifest ->> 'generated_from')::timestamptz)
  AND (d.manifest ->> 'generated_to' IS NULL OR t.generated_at < (d.manifest ->> 'generated_to')::timestamptz)
  AND EXISTS (
    SELECT 1 FROM jsonb_to_recordset(d.manifest -> 'offset_ranges') AS r (partition integer, first_offset bigint, end_offset bigint)
    WHERE r.partition = t.generated_partition AND t.generated_offset >= r.first_offset AND t.generated_offset < r.end_offset
  )
WHERE t.request IS NOT NULL;
COMMENT ON VIEW exp.v_plan_lineage IS 'Every plan with the model that made it, once for each dataset whose snapshot it was in. Some plans of a snapshot are in no file (see "excluded" of the manifest): ops lineage plan looks into the files';

GRANT SELECT ON exp.v_lineage, exp.v_plan_lineage TO analyst, operator;
