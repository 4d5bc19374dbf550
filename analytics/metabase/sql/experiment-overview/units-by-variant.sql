SELECT s.variant_label, count(*) AS units
FROM exp.v_exposed_units u
JOIN exp.v_variant_policy s ON s.variant_id = u.variant_id
WHERE true
  [[AND s.experiment_key = {{experiment}}]]
  [[AND s.variant_name = {{variant}}]]
  [[AND s.policy_version_name = {{policy_version}}]]
  [[AND u.first_exposed_at >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
  [[AND u.first_exposed_at < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
GROUP BY s.variant_label
ORDER BY s.variant_label
