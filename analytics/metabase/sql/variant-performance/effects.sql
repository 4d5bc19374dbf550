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
SELECT variant_label, metric_name, array_to_string(roles, ', ') AS roles, control_value, treatment_value,
  exp.describe_effect(estimate, lower, upper, scale) AS effect,
  p_value, chance_to_win,
  CASE
    WHEN not_computable IS NOT NULL THEN 'not computable: ' || not_computable
    WHEN lower > 0 THEN 'higher than control'
    WHEN upper < 0 THEN 'lower than control'
    ELSE 'not told apart'
  END AS verdict,
  coalesce(guardrail, '') AS guardrail, recorded_at
FROM latest
ORDER BY variant_label, 'primary' = ANY (roles) DESC, 'guardrail' = ANY (roles) DESC, metric_name
