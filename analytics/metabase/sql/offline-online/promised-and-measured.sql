WITH online AS (
  SELECT s.policy_version_name, s.mlflow_model_name, s.mlflow_model_version, sum(m.sum) / sum(m.count) AS measured
  FROM exp.metric_aggregates m
  JOIN exp.v_variant_policy s ON s.variant_id = m.variant_id
  WHERE m.granularity = 'day' AND m.metric_name = 'accepted' AND s.policy_version_name IS NOT NULL
    [[AND s.experiment_key = {{experiment}}]]
    [[AND s.variant_name = {{variant}}]]
    [[AND s.policy_version_name = {{policy_version}}]]
    [[AND m.bucket_start >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
    [[AND m.bucket_start < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
  GROUP BY 1, 2, 3
)
SELECT o.policy_version_name, r.promised, o.measured
FROM online o
LEFT JOIN LATERAL (
  SELECT (p.metrics ->> 'acceptance_rate')::float8 AS promised
  FROM exp.offline_replay_results p
  WHERE p.model_name = o.mlflow_model_name AND p.model_version = o.mlflow_model_version AND p.metrics ->> 'acceptance_rate' IS NOT NULL
  ORDER BY p.created_at DESC
  LIMIT 1
) r ON true
ORDER BY o.policy_version_name
