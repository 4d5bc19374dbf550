-- One line per model and score: its versions follow each other in time.
WITH replay AS (
  SELECT DISTINCT o.id, o.created_at, o.model_name, o.metrics
  FROM exp.offline_replay_results o
  LEFT JOIN exp.v_variant_policy s ON s.mlflow_model_name = o.model_name AND s.mlflow_model_version = o.model_version
  WHERE true
    [[AND s.experiment_key = {{experiment}}]]
    [[AND s.variant_name = {{variant}}]]
    [[AND s.policy_version_name = {{policy_version}}]]
    [[AND o.created_at >= {{from}}::date::timestamp AT TIME ZONE 'UTC']]
    [[AND o.created_at < ({{to}}::date + 1)::timestamp AT TIME ZONE 'UTC']]
)
SELECT (r.created_at AT TIME ZONE 'UTC')::date AS day, r.model_name || ': ' || score.key AS series,
  avg(score.value::float8) AS score
FROM replay r
CROSS JOIN LATERAL jsonb_each(r.metrics) score
WHERE jsonb_typeof(score.value) = 'number' AND score.key IN ('acceptance_rate', 'plan_alignment_score', 'constraint_respect_score', 'edit_distance_score')
GROUP BY 1, 2
ORDER BY 1, 2
