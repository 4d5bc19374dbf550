WITH replay AS (
  SELECT DISTINCT o.id, o.created_at, o.model_name, o.model_version, o.baseline_model_version, o.dataset_version, o.verdict, o.reasons
  FROM exp.offline_replay_results o
  LEFT JOIN exp.v_variant_policy s ON s.mlflow_model_name = o.model_name AND s.mlflow_model_version = o.model_version
  WHERE true
    [[AND s.experiment_key = {{experiment}}]]
    [[AND s.variant_name = {{variant}}]]
    [[AND s.policy_version_name = {{policy_version}}]]
    [[AND o.created_at >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
    [[AND o.created_at < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
)
SELECT created_at AS replayed_at, model_name || ' ' || model_version AS model, coalesce(baseline_model_version, '') AS baseline,
  dataset_version, verdict, (SELECT coalesce(string_agg(reason, '; '), '') FROM jsonb_array_elements_text(reasons) reason) AS reasons
FROM replay
ORDER BY created_at DESC
LIMIT 100
