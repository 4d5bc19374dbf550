SELECT (m.bucket_start AT TIME ZONE 'UTC')::date AS day, s.variant_label, m.mean
FROM exp.metric_aggregates m
JOIN exp.v_variant_policy s ON s.variant_id = m.variant_id
WHERE m.granularity = 'day'
  AND m.metric_name = {{metric}}
  [[AND s.experiment_key = {{experiment}}]]
  [[AND s.variant_name = {{variant}}]]
  [[AND s.policy_version_name = {{policy_version}}]]
  [[AND m.bucket_start >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
  [[AND m.bucket_start < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
ORDER BY 1, 2
