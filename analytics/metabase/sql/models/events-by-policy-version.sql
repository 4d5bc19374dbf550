SELECT event_date, event_time, event_type, unit_type, unit_id, event_id, experiment_name, variant_name, assignment_mismatch,
  policy_name || '@' || policy_version AS policy_version_name, mlflow_model_name, mlflow_model_version, metrics, context
FROM exp.v_event_policy
