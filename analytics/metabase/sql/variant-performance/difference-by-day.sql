-- Mean over all days so far, treatment minus control; the filters choose the treatment, control is always its own.
WITH day AS (
  SELECT m.experiment_id, m.variant_id, m.bucket_start,
    sum(m.sum) OVER so_far / sum(m.count) OVER so_far AS mean
  FROM exp.metric_aggregates m
  WHERE m.granularity = 'day'
    AND m.metric_name = {{metric}}
    [[AND m.bucket_start >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
    [[AND m.bucket_start < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
  WINDOW so_far AS (PARTITION BY m.variant_id ORDER BY m.bucket_start)
)
SELECT (t.bucket_start AT TIME ZONE 'UTC')::date AS day, s.variant_label, t.mean - c.mean AS difference
FROM day t
JOIN exp.v_variant_policy s ON s.variant_id = t.variant_id AND NOT s.is_control
JOIN exp.variants v ON v.experiment_id = t.experiment_id AND v.is_control
JOIN day c ON c.variant_id = v.id AND c.bucket_start = t.bucket_start
WHERE true
  [[AND s.experiment_key = {{experiment}}]]
  [[AND s.variant_name = {{variant}}]]
  [[AND s.policy_version_name = {{policy_version}}]]
ORDER BY 1, 2
