WITH replay AS (
  SELECT DISTINCT o.id, o.model_name, o.model_version, o.verdict
  FROM exp.offline_replay_results o
  LEFT JOIN exp.v_variant_policy s ON s.mlflow_model_name = o.model_name AND s.mlflow_model_version = o.model_version
  WHERE true
    [[AND s.experiment_key = {{experiment}}]]
    [[AND s.variant_name = {{variant}}]]
    [[AND s.policy_version_name = {{policy_version}}]]
    [[AND o.created_at >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
    [[AND o.created_at < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
)
SELECT model_name || ' ' || model_version AS model, verdict, count(*) AS replays
FROM replay
GROUP BY 1, 2
ORDER BY 1, 2
