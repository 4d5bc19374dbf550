SELECT experiment_key, iteration, experiment_name, variant_name, metric_name, granularity, bucket_start, count, sum, mean,
  variance, min, max, policy_name || '@' || policy_version AS policy_version_name, mlflow_model_name, mlflow_model_version
FROM exp.v_aggregate_policy
