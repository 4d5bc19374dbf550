-- A variant without a policy version stands for itself.
SELECT (m.bucket_start AT TIME ZONE 'UTC')::date AS day, coalesce(s.policy_version_name, s.variant_label) AS policy,
  sum(m.sum) / sum(m.count) AS mean
FROM exp.metric_aggregates m
JOIN exp.v_variant_policy s ON s.variant_id = m.variant_id
WHERE m.granularity = 'day' AND m.metric_name = '$metric'
  [[AND s.experiment_key = {{experiment}}]]
  [[AND s.variant_name = {{variant}}]]
  [[AND s.policy_version_name = {{policy_version}}]]
  [[AND m.bucket_start >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
  [[AND m.bucket_start < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
GROUP BY 1, 2
ORDER BY 1, 2
