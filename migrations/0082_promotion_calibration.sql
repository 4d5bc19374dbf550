-- What the gate predicted of a promoted model beside what it did for real units, as the ledger keeps both.
CREATE VIEW exp.v_promotion_calibration AS
SELECT x.key AS experiment_key, x.iteration, p.name || '@' || v.version AS policy_version, s.model_name, s.model_version,
  s.evidence #>> '{replay,verdict}' AS verdict, s.evidence #>> '{replay,replay_id}' AS replay_id, e.action AS ended_by, e.at AS ended_at,
  pair.offline_score, o.difference AS offline_difference, o.lower AS offline_lower, o.upper AS offline_upper,
  pair.online_metric, n.control AS online_control, n.candidate AS online_candidate, n.candidate - n.control AS online_difference,
  n.estimate AS online_estimate, n.lower AS online_lower, n.upper AS online_upper, n.scale AS online_scale,
  CASE WHEN o.difference <> 0 AND n.candidate <> n.control
    THEN (o.difference > 0) = ((n.candidate - n.control) * pair.direction > 0) END AS same_direction
FROM exp.promotions s
JOIN exp.policy_versions v ON v.id = s.policy_version_id
JOIN exp.policies p ON p.id = v.policy_id
JOIN exp.experiments x ON x.id = s.experiment_id
JOIN LATERAL (
  SELECT l.action, l.at, l.evidence FROM exp.promotions l
  WHERE l.experiment_id = s.experiment_id AND l.action IN ('finish', 'roll-back') ORDER BY l.id LIMIT 1
) e ON true
-- Which metric of real units a score of the replay predicts, and whether both rise together.
CROSS JOIN (VALUES ('plan_alignment_score', 'plan_alignment', 1), ('edit_distance_score', 'acceptance_rate', 1),
  ('edit_distance_score', 'edits_per_plan', -1)) AS pair (offline_score, online_metric, direction)
LEFT JOIN LATERAL jsonb_to_record(s.evidence #> ARRAY['replay', 'scores', pair.offline_score])
  AS o (difference double precision, lower double precision, upper double precision) ON true
LEFT JOIN LATERAL (
  SELECT f.control, f.candidate, f.estimate, f.lower, f.upper, f.scale
  FROM jsonb_to_recordset(e.evidence -> 'effects') AS f (metric text, control double precision, candidate double precision,
    estimate double precision, lower double precision, upper double precision, scale text)
  WHERE f.metric = pair.online_metric
  UNION ALL
  -- A guardrail stops without computing every effect: then what the monitor has recorded.
  SELECT r.control_value, r.treatment_value, r.estimate, r.lower, r.upper, r.scale FROM exp.v_experiment_results r
  WHERE NOT e.evidence ? 'effects' AND r.experiment_id = s.experiment_id AND r.metric_name = pair.online_metric
) n ON true
WHERE s.action = 'start';
COMMENT ON VIEW exp.v_promotion_calibration IS 'One row per ended promotion and pair of offline score and online metric: prediction, measured effect, and whether they point the same way';

-- The same columns as before, and what became of the promotion.
CREATE OR REPLACE VIEW exp.v_offline_vs_online AS
SELECT o.model_name, o.model_version, o.dataset_version, o.baseline_model_version, o.verdict, o.metrics AS offline_metrics,
  o.created_at AS replayed_at, p.name AS policy_name, pv.version AS policy_version, r.experiment_key, r.iteration, r.variant_name,
  r.metric_name, r.scale, r.control_value, r.treatment_value, r.estimate, r.lower, r.upper, r.not_computable, r.recorded_at,
  e.action AS promotion_ended_by, e.at AS promotion_ended_at, e.estimate AS estimate_at_end
FROM exp.offline_replay_results o
LEFT JOIN exp.policy_versions pv ON pv.mlflow_model_name = o.model_name AND pv.mlflow_model_version = o.model_version
LEFT JOIN exp.policies p ON p.id = pv.policy_id
LEFT JOIN exp.variants v ON v.config ->> 'policy_version_id' = pv.id::text
LEFT JOIN exp.v_experiment_results r ON r.variant_id = v.id
LEFT JOIN LATERAL (
  SELECT l.action, l.at,
    (SELECT f.estimate FROM jsonb_to_recordset(l.evidence -> 'effects') AS f (metric text, estimate double precision)
     WHERE f.metric = r.metric_name) AS estimate
  FROM exp.promotions l
  WHERE l.experiment_id = v.experiment_id AND l.policy_version_id = pv.id AND l.action IN ('finish', 'roll-back') ORDER BY l.id LIMIT 1
) e ON true;

GRANT SELECT ON exp.v_promotion_calibration TO analyst, operator, assignment_service;
GRANT SELECT ON exp.v_experiment_results, exp.experiment_results TO assignment_service;
