-- One value per unit, its mean of the metric; tenths of the range from the smallest to the largest of them.
WITH unit AS (
  SELECT s.variant_label, m.sum / m.count AS mean
  FROM exp.unit_metrics m
  JOIN exp.v_variant_policy s ON s.variant_id = m.variant_id
  JOIN exp.v_exposed_units u ON u.experiment_id = m.experiment_id AND u.variant_id = m.variant_id AND u.unit_id = m.unit_id
  WHERE m.count > 0
    AND m.metric_name = {{metric}}
    [[AND s.experiment_key = {{experiment}}]]
    [[AND s.variant_name = {{variant}}]]
    [[AND s.policy_version_name = {{policy_version}}]]
    [[AND u.first_exposed_at >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
    [[AND u.first_exposed_at < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
), bound AS (
  SELECT min(mean) AS low, max(mean) AS high
  FROM unit
), binned AS (
  SELECT variant_label,
    CASE WHEN high > low THEN least(width_bucket(mean, low, high, 10), 10) ELSE 1 END AS tenth
  FROM unit
  CROSS JOIN bound
)
SELECT b.low + (t.tenth - 0.5) * (b.high - b.low) / 10 AS middle, v.variant_label, count(u.variant_label) AS units
FROM bound b
CROSS JOIN (SELECT DISTINCT variant_label FROM unit) v
CROSS JOIN generate_series(1, 10) AS t (tenth)
LEFT JOIN binned u ON u.variant_label = v.variant_label AND u.tenth = t.tenth
WHERE b.high > b.low OR t.tenth = 1
GROUP BY 1, 2
ORDER BY 1, 2
