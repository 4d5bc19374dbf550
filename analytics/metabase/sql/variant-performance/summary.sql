SELECT s.variant_label, m.metric_name, sum(m.count)::bigint AS count, sum(m.sum) / sum(m.count) AS mean, min(m.min) AS min, max(m.max) AS max
FROM exp.metric_aggregates m
JOIN exp.v_variant_policy s ON s.variant_id = m.variant_id
WHERE m.granularity = 'day'
  [[AND s.experiment_key = {{experiment}}]]
  [[AND s.variant_name = {{variant}}]]
  [[AND s.policy_version_name = {{policy_version}}]]
  [[AND m.bucket_start >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
  [[AND m.bucket_start < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
GROUP BY s.variant_label, m.metric_name
ORDER BY m.metric_name, s.variant_label
