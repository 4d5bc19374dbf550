-- Every variant with its experiment and the policy version behind it: what the filters of the dashboards select from.
CREATE VIEW exp.v_variant_policy AS
SELECT x.id AS experiment_id, x.key AS experiment_key, x.name AS experiment_name, x.iteration, x.status, x.unit_type,
  v.id AS variant_id, v.name AS variant_name, v.is_control, v.position, v.allocation,
  x.key || CASE WHEN x.iteration > 1 THEN '#' || x.iteration ELSE '' END AS experiment_label,
  x.key || CASE WHEN x.iteration > 1 THEN '#' || x.iteration ELSE '' END || ' / ' || v.name AS variant_label,
  pv.id AS policy_version_id, p.name || '@' || pv.version AS policy_version_name, pv.mlflow_model_name, pv.mlflow_model_version
FROM exp.experiments x
JOIN exp.variants v ON v.experiment_id = x.id
LEFT JOIN exp.policy_versions pv ON pv.id::text = v.config ->> 'policy_version_id'
LEFT JOIN exp.policies p ON p.id = pv.policy_id;
COMMENT ON VIEW exp.v_variant_policy IS 'Every variant with its experiment and the policy version behind it, with the names that dashboards show';
COMMENT ON COLUMN exp.v_variant_policy.policy_version_name IS 'Such as planner@2; null where the variant names no policy version';

GRANT SELECT ON exp.v_variant_policy TO analyst, operator;
