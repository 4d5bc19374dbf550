SELECT sum(l.plans)::bigint AS plans
FROM exp.v_latency_cost l
JOIN exp.v_variant_policy s ON s.variant_id = l.variant_id
WHERE l.granularity = 'day'
  [[AND l.experiment_key = {{experiment}}]]
  [[AND l.variant_name = {{variant}}]]
  [[AND l.policy_name || '@' || l.policy_version = {{policy_version}}]]
  [[AND l.bucket_start >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
  [[AND l.bucket_start < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
