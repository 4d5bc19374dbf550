-- Results as the guardrail monitor records them, for SQL and dashboards; and the views that join them with models and operations.
CREATE TABLE exp.experiment_results (
  experiment_id uuid NOT NULL REFERENCES exp.experiments (id),
  variant_id uuid NOT NULL,
  metric_name text NOT NULL,
  recorded_at timestamptz NOT NULL,
  roles text[] NOT NULL,
  kind text NOT NULL,
  scale text NOT NULL CHECK (scale IN ('relative', 'absolute')),
  control_value double precision,
  treatment_value double precision,
  estimate double precision,
  lower double precision,
  upper double precision,
  p_value double precision,
  chance_to_win double precision,
  guardrail text CHECK (guardrail IN ('broken', 'holds', 'open', 'unknown')),
  not_computable text,
  decision text NOT NULL,
  units bigint NOT NULL,
  excluded_units bigint NOT NULL,
  sample_ratio_p_value double precision,
  PRIMARY KEY (experiment_id, variant_id, metric_name, recorded_at)
);
COMMENT ON TABLE exp.experiment_results IS 'Results of each treatment and metric at the times when they were recorded; `ops results` computes them anew';
COMMENT ON COLUMN exp.experiment_results.not_computable IS 'Why there is no effect; its numbers are null then, never a neutral value';

-- The latest recorded result of every treatment and metric.
CREATE VIEW exp.v_experiment_results AS
SELECT x.key AS experiment_key, x.name AS experiment_name, x.iteration, x.status, v.name AS variant_name, r.*
FROM exp.experiments x
JOIN exp.variants v ON v.experiment_id = x.id
JOIN LATERAL (
  SELECT DISTINCT ON (e.metric_name) e.* FROM exp.experiment_results e
  WHERE e.experiment_id = x.id AND e.variant_id = v.id ORDER BY e.metric_name, e.recorded_at DESC
) r ON true;

-- What the replay of a model promised, beside what its variants showed online.
CREATE VIEW exp.v_offline_vs_online AS
SELECT o.model_name, o.model_version, o.dataset_version, o.baseline_model_version, o.verdict, o.metrics AS offline_metrics,
  o.created_at AS replayed_at, p.name AS policy_name, pv.version AS policy_version, r.experiment_key, r.iteration, r.variant_name,
  r.metric_name, r.scale, r.control_value, r.treatment_value, r.estimate, r.lower, r.upper, r.not_computable, r.recorded_at
FROM exp.offline_replay_results o
LEFT JOIN exp.policy_versions pv ON pv.mlflow_model_name = o.model_name AND pv.mlflow_model_version = o.model_version
LEFT JOIN exp.policies p ON p.id = pv.policy_id
LEFT JOIN exp.variants v ON v.config ->> 'policy_version_id' = pv.id::text
LEFT JOIN exp.v_experiment_results r ON r.variant_id = v.id;

-- Latency and cost of each variant and the policy behind it, by hour and day: from aggregates, so the number of events does not matter.
CREATE VIEW exp.v_latency_cost AS
SELECT l.experiment_key, l.experiment_name, l.iteration, l.experiment_id, l.variant_name, l.variant_id, l.policy_name, l.policy_version,
  l.mlflow_model_name, l.mlflow_model_version, l.granularity, l.bucket_start, l.count AS plans, l.mean AS latency_ms_mean,
  q.p50 AS latency_ms_p50, q.p90 AS latency_ms_p90, q.p99 AS latency_ms_p99, c.mean AS cost_usd_mean, c.sum AS cost_usd_sum
FROM exp.v_aggregate_policy l
LEFT JOIN exp.metric_aggregates c ON (c.experiment_id, c.variant_id, c.granularity, c.bucket_start, c.metric_name)
  = (l.experiment_id, l.variant_id, l.granularity, l.bucket_start, 'cost_usd')
LEFT JOIN exp.v_metric_quantiles q ON (q.experiment_id, q.variant_id, q.granularity, q.bucket_start, q.metric_name)
  = (l.experiment_id, l.variant_id, l.granularity, l.bucket_start, 'latency_ms')
WHERE l.metric_name = 'latency_ms';

GRANT SELECT, INSERT ON exp.experiment_results TO guardrail_monitor;
GRANT SELECT ON exp.experiment_results, exp.v_experiment_results, exp.v_offline_vs_online, exp.v_latency_cost TO analyst, operator;
GRANT INSERT, UPDATE, DELETE ON exp.experiment_results TO operator;
