-- Means over all events of the chosen days; a variant without a policy version stands for itself.
WITH total AS (
  SELECT coalesce(s.policy_version_name, s.variant_label) AS policy, s.policy_version_id, s.mlflow_model_name || ' ' || s.mlflow_model_version AS model,
    m.metric_name, sum(m.count)::bigint AS count, sum(m.sum) / sum(m.count) AS mean
  FROM exp.metric_aggregates m
  JOIN exp.v_variant_policy s ON s.variant_id = m.variant_id
  WHERE m.granularity = 'day'
    AND m.metric_name IN ('latency_ms', 'accepted', 'edits', 'plan_alignment_score', 'constraint_respect_score', 'validator_intervention')
    [[AND s.experiment_key = {{experiment}}]]
    [[AND s.variant_name = {{variant}}]]
    [[AND s.policy_version_name = {{policy_version}}]]
    [[AND m.bucket_start >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
    [[AND m.bucket_start < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
  GROUP BY 1, 2, 3, 4
)
SELECT t.policy, coalesce(t.model, '') AS model, coalesce(max(pv.status), '') AS status,
  max(t.count) FILTER (WHERE t.metric_name = 'latency_ms') AS plans,
  max(t.mean) FILTER (WHERE t.metric_name = 'accepted') AS acceptance_rate,
  max(t.mean) FILTER (WHERE t.metric_name = 'edits') AS edits_per_plan,
  max(t.mean) FILTER (WHERE t.metric_name = 'plan_alignment_score') AS plan_alignment,
  max(t.mean) FILTER (WHERE t.metric_name = 'constraint_respect_score') AS constraint_respect,
  max(t.mean) FILTER (WHERE t.metric_name = 'validator_intervention') AS intervention_rate
FROM total t
LEFT JOIN exp.policy_versions pv ON pv.id = t.policy_version_id
GROUP BY t.policy, t.model
ORDER BY t.policy
