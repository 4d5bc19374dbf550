SELECT x.key || CASE WHEN x.iteration > 1 THEN '#' || x.iteration ELSE '' END AS experiment_label, c.version, c.changed_at,
  c.changed_by, c.reason
FROM exp.experiment_versions c
JOIN exp.experiments x ON x.id = c.experiment_id
WHERE EXISTS (
  SELECT FROM exp.v_variant_policy s
  WHERE s.experiment_id = x.id
    [[AND s.experiment_key = {{experiment}}]]
    [[AND s.variant_name = {{variant}}]]
    [[AND s.policy_version_name = {{policy_version}}]]
)
  [[AND c.changed_at >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
  [[AND c.changed_at < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
ORDER BY c.changed_at DESC, experiment_label
LIMIT 100
