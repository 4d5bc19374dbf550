-- Shares are of all exposed units of the experiment in the chosen days, also when only some variants are shown.
WITH exposed AS (
  SELECT u.experiment_id, u.variant_id, count(*) AS units, sum(count(*)) OVER (PARTITION BY u.experiment_id) AS all_units
  FROM exp.v_exposed_units u
  WHERE true
    [[AND u.first_exposed_at >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
    [[AND u.first_exposed_at < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
  GROUP BY u.experiment_id, u.variant_id
), planned AS (
  SELECT id AS variant_id, allocation::float8 / nullif(sum(allocation) OVER (PARTITION BY experiment_id), 0) AS share
  FROM exp.variants
), recorded AS (
  SELECT DISTINCT ON (experiment_id) experiment_id, sample_ratio_p_value
  FROM exp.experiment_results
  ORDER BY experiment_id, recorded_at DESC
)
SELECT s.variant_label, e.units, p.share AS planned_share, e.units / e.all_units::float8 AS observed_share, r.sample_ratio_p_value,
  CASE WHEN r.sample_ratio_p_value IS NULL THEN 'not computed' WHEN r.sample_ratio_p_value < 0.001 THEN 'suspicious' ELSE 'as planned' END AS verdict
FROM exposed e
JOIN exp.v_variant_policy s ON s.variant_id = e.variant_id
JOIN planned p ON p.variant_id = e.variant_id
LEFT JOIN recorded r ON r.experiment_id = e.experiment_id
WHERE true
  [[AND s.experiment_key = {{experiment}}]]
  [[AND s.variant_name = {{variant}}]]
  [[AND s.policy_version_name = {{policy_version}}]]
ORDER BY s.variant_label
