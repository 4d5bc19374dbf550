SELECT o.model_name || ' ' || o.model_version AS model, o.policy_name || '@' || o.policy_version AS policy_version_name,
  o.experiment_key || ' / ' || o.variant_name AS variant_label, o.verdict,
  (o.offline_metrics ->> 'acceptance_rate')::float8 AS promised, o.treatment_value AS measured,
  o.treatment_value - (o.offline_metrics ->> 'acceptance_rate')::float8 AS gap, o.control_value,
  exp.describe_effect(o.estimate, o.lower, o.upper, o.scale) AS effect,
  o.replayed_at
FROM exp.v_offline_vs_online o
WHERE o.metric_name = 'acceptance_rate'
  [[AND o.experiment_key = {{experiment}}]]
  [[AND o.variant_name = {{variant}}]]
  [[AND o.policy_name || '@' || o.policy_version = {{policy_version}}]]
  [[AND o.replayed_at >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
  [[AND o.replayed_at < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
ORDER BY o.replayed_at DESC, model, variant_label
