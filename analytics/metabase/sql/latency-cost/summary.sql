-- The highest daily 99th percentile is the worst day, not the percentile of all plans.
WITH accepted AS (
  SELECT variant_id, bucket_start, sum AS plans
  FROM exp.metric_aggregates
  WHERE granularity = 'day' AND metric_name = 'accepted'
)
SELECT s.variant_label, coalesce(s.policy_version_name, '') AS policy_version_name, sum(l.plans)::bigint AS plans,
  sum(l.latency_ms_mean * l.plans) / sum(l.plans) AS latency_ms_mean, max(l.latency_ms_p99) AS worst_latency_ms_p99,
  sum(l.cost_usd_sum) AS cost_usd, sum(l.cost_usd_sum) / sum(l.plans) AS cost_usd_per_plan,
  sum(l.cost_usd_sum) / nullif(sum(a.plans), 0) AS cost_usd_per_accepted_plan
FROM exp.v_latency_cost l
JOIN exp.v_variant_policy s ON s.variant_id = l.variant_id
LEFT JOIN accepted a ON a.variant_id = l.variant_id AND a.bucket_start = l.bucket_start
WHERE l.granularity = 'day'
  [[AND l.experiment_key = {{experiment}}]]
  [[AND l.variant_name = {{variant}}]]
  [[AND l.policy_name || '@' || l.policy_version = {{policy_version}}]]
  [[AND l.bucket_start >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
  [[AND l.bucket_start < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
GROUP BY 1, 2
ORDER BY 1
