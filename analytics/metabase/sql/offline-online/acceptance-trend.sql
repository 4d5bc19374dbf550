-- Measured on each day, beside what the latest replay of the model behind the policy version promised.
WITH online AS (
  SELECT (m.bucket_start AT TIME ZONE 'UTC')::date AS day, s.policy_version_name, s.mlflow_model_name, s.mlflow_model_version,
    sum(m.sum) / sum(m.count) AS acceptance_rate
  FROM exp.metric_aggregates m
  JOIN exp.v_variant_policy s ON s.variant_id = m.variant_id
  WHERE m.granularity = 'day' AND m.metric_name = 'accepted' AND s.policy_version_name IS NOT NULL
    [[AND s.experiment_key = {{experiment}}]]
    [[AND s.variant_name = {{variant}}]]
    [[AND s.policy_version_name = {{policy_version}}]]
    [[AND m.bucket_start >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
    [[AND m.bucket_start < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
  GROUP BY 1, 2, 3, 4
)
SELECT day, policy_version_name || ' measured' AS series, acceptance_rate
FROM online
UNION ALL
SELECT o.day, o.policy_version_name || ' promised', r.acceptance_rate
FROM online o
CROSS JOIN LATERAL (
  SELECT (p.metrics ->> 'acceptance_rate')::float8 AS acceptance_rate
  FROM exp.offline_replay_results p
  WHERE p.model_name = o.mlflow_model_name AND p.model_version = o.mlflow_model_version AND p.metrics ->> 'acceptance_rate' IS NOT NULL
  ORDER BY p.created_at DESC
  LIMIT 1
) r
ORDER BY 1, 2
