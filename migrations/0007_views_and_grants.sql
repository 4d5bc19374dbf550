-- The analysts' views and who may do what. Each process role holds exactly the rights that its code uses.
CREATE VIEW exp.v_experiment_metrics AS
SELECT x.name AS experiment_name, v.name AS variant_name, a.metric_name, a.mean, a.bucket_start, a.granularity,
  a.count, a.sum, CASE WHEN a.count > 1 THEN a.m2 / (a.count - 1) END AS variance, a.min, a.max,
  x.key AS experiment_key, x.iteration, a.experiment_id, a.variant_id
FROM exp.metric_aggregates a
JOIN exp.experiments x ON x.id = a.experiment_id
JOIN exp.variants v ON v.id = a.variant_id;

-- Events with the policy version that the variant they name was configured with.
CREATE VIEW exp.v_event_policy AS
SELECT e.event_date, e.event_id, e.event_type, e.unit_type, e.unit_id, e.event_time, e.metrics, e.context,
  e.experiment_id, x.name AS experiment_name, e.variant_id, v.name AS variant_name, e.assignment_mismatch,
  pv.id AS policy_version_id, p.name AS policy_name, pv.version AS policy_version,
  pv.mlflow_model_name, pv.mlflow_model_version
FROM exp.event_variants e
LEFT JOIN exp.experiments x ON x.id = e.experiment_id
LEFT JOIN exp.variants v ON v.id = e.variant_id
LEFT JOIN exp.policy_versions pv ON pv.id::text = v.config ->> 'policy_version_id'
LEFT JOIN exp.policies p ON p.id = pv.policy_id;

-- Aggregates with policy versions, for the same question without touching events.
CREATE VIEW exp.v_aggregate_policy AS
SELECT m.*, pv.id AS policy_version_id, p.name AS policy_name, pv.version AS policy_version,
  pv.mlflow_model_name, pv.mlflow_model_version
FROM exp.v_experiment_metrics m
JOIN exp.variants v ON v.id = m.variant_id
LEFT JOIN exp.policy_versions pv ON pv.id::text = v.config ->> 'policy_version_id'
LEFT JOIN exp.policies p ON p.id = pv.policy_id;

-- Analysts read everything but credentials and the table of erased units.
GRANT SELECT ON ALL TABLES IN SCHEMA exp TO analyst;
REVOKE ALL ON exp.api_keys, exp.erasures FROM analyst;

GRANT SELECT ON exp.experiments, exp.variants, exp.policies, exp.policy_versions, exp.api_keys, exp.experiment_versions,
  exp.erasures TO assignment_service, ingestion_service;
GRANT SELECT, INSERT ON exp.assignments TO assignment_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON exp.assignment_outbox, exp.definition_outbox TO assignment_service;
GRANT SELECT, UPDATE ON exp.outbox_relays TO assignment_service;
GRANT DELETE ON exp.variants TO assignment_service;
GRANT INSERT, UPDATE ON exp.experiments, exp.variants, exp.experiment_versions, exp.policies, exp.policy_versions TO assignment_service;
GRANT INSERT ON exp.audit_log TO assignment_service;

GRANT SELECT, INSERT, UPDATE ON exp.consumer_offsets TO postgres_sink, parquet_archiver, metrics_aggregator, dataset_builder;
GRANT SELECT ON exp.erasures TO postgres_sink, parquet_archiver, metrics_aggregator, dataset_builder;

GRANT SELECT, INSERT ON exp.events TO postgres_sink;
GRANT SELECT ON exp.assignments, exp.experiments, exp.variants TO postgres_sink;
GRANT EXECUTE ON FUNCTION exp.ensure_event_day(date) TO postgres_sink, metrics_aggregator, operator;

GRANT SELECT, INSERT, UPDATE ON exp.archive_manifest TO parquet_archiver;

GRANT SELECT ON exp.experiments, exp.variants TO metrics_aggregator;
GRANT SELECT, INSERT ON exp.event_claims TO metrics_aggregator;
GRANT SELECT, INSERT, UPDATE ON exp.metric_aggregates, exp.metric_aggregate_bins, exp.first_exposures, exp.unit_metrics,
  exp.unit_daily_metrics TO metrics_aggregator;
GRANT SELECT, INSERT, DELETE ON exp.unit_pending_metrics TO metrics_aggregator;

GRANT SELECT, INSERT, UPDATE ON exp.training_rows TO dataset_builder;
GRANT SELECT, INSERT ON exp.plan_reactions, exp.dataset_versions TO dataset_builder;
GRANT SELECT ON exp.households, exp.pantry_items, exp.constraints, exp.recipes, exp.plans, exp.experiments, exp.variants TO dataset_builder;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA exp TO operator;
