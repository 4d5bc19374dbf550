-- The last result of each treatment and metric that was recorded in the chosen days.
WITH latest AS (
  SELECT DISTINCT ON (r.variant_id, r.metric_name) s.experiment_label, s.variant_label, s.status, r.*
  FROM exp.experiment_results r
  JOIN exp.v_variant_policy s ON s.variant_id = r.variant_id
  WHERE true
    [[AND s.experiment_key = {{experiment}}]]
    [[AND s.variant_name = {{variant}}]]
    [[AND s.policy_version_name = {{policy_version}}]]
    [[AND r.recorded_at >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
    [[AND r.recorded_at < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
  ORDER BY r.variant_id, r.metric_name, r.recorded_at DESC
)
SELECT variant_label, status, decision, metric_name, control_value, treatment_value, exp.describe_effect(estimate, lower, upper, scale) AS effect, chance_to_win,
  coalesce(not_computable, '') AS not_computable, units, excluded_units, recorded_at
FROM latest
WHERE 'primary' = ANY (roles)
ORDER BY variant_label
