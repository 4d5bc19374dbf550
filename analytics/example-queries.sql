-- Questions that analysts ask, each with a query that answers it. Every one is run as the role "analyst" by a test, on the data of
-- both workloads. A question is a comment that ends with a question mark; the query below it ends with a semicolon.
-- Times are UTC; windows are [bucket_start, bucket_start + granularity). More in docs/data-model.md and analytics/metabase-models.md.

-- Which experiments are there, and how many units has each variant enrolled and exposed?
SELECT x.key, x.status, v.name AS variant, v.allocation / 10000.0 AS allocation, count(a.unit_id) AS enrolled,
  count(u.unit_id) AS exposed
FROM exp.experiments x
JOIN exp.variants v ON v.experiment_id = x.id
LEFT JOIN exp.assignments a ON a.experiment_id = x.id AND a.variant_id = v.id
LEFT JOIN exp.v_exposed_units u ON u.experiment_id = x.id AND u.unit_id = a.unit_id
GROUP BY x.key, x.status, v.name, v.allocation, v.position
ORDER BY x.key, v.position;

-- What has each experiment shown so far, and what is to be done?
SELECT experiment_key, variant_name, metric_name, estimate, lower, upper, guardrail, decision, not_computable, recorded_at
FROM exp.v_experiment_results
ORDER BY experiment_key, variant_name, 'primary' = ANY (roles) DESC, metric_name;

-- Is the split of exposed units as planned?
SELECT experiment_key, variant_name, max(units) AS units, max(excluded_units) AS excluded_units,
  min(sample_ratio_p_value) AS sample_ratio_p_value, min(sample_ratio_p_value) < 0.001 AS is_suspicious
FROM exp.v_experiment_results
GROUP BY experiment_key, variant_name
ORDER BY experiment_key;

-- What is the acceptance rate of each variant, by day?
SELECT bucket_start::date AS day, variant_name, mean AS acceptance_rate, count AS answered_plans
FROM exp.v_experiment_metrics
WHERE experiment_key = 'planner-policy' AND metric_name = 'accepted' AND granularity = 'day'
ORDER BY day, variant_name;

-- How did every metric do per variant over the whole experiment?
SELECT experiment_name, variant_name, metric_name, sum(sum) / nullif(sum(count), 0) AS mean, min(min) AS min, max(max) AS max,
  sum(count) AS events
FROM exp.v_experiment_metrics
WHERE granularity = 'day'
GROUP BY experiment_name, variant_name, metric_name
ORDER BY experiment_name, metric_name, variant_name;

-- How slow are plans at the median and at the 99th percentile, per variant and day?
SELECT bucket_start::date AS day, variant_name, plans, latency_ms_p50, latency_ms_p90, latency_ms_p99
FROM exp.v_latency_cost
WHERE granularity = 'day'
ORDER BY day, variant_name;

-- What has each policy version cost, per plan and in total?
SELECT policy_name, policy_version, sum(plans) AS plans, sum(cost_usd_sum) AS cost_usd,
  sum(cost_usd_sum) / nullif(sum(plans), 0) AS cost_usd_per_plan
FROM exp.v_latency_cost
WHERE granularity = 'day'
GROUP BY policy_name, policy_version
ORDER BY policy_name, policy_version;

-- Which model version is behind each policy version, and which variants deliver it?
SELECT p.name AS policy, pv.version, pv.status, pv.mlflow_model_name, pv.mlflow_model_version,
  array_agg(x.key || '/' || v.name ORDER BY x.key, v.name) FILTER (WHERE v.id IS NOT NULL) AS delivered_by
FROM exp.policies p
JOIN exp.policy_versions pv ON pv.policy_id = p.id
LEFT JOIN exp.variants v ON v.config ->> 'policy_version_id' = pv.id::text
LEFT JOIN exp.experiments x ON x.id = v.experiment_id
GROUP BY p.name, pv.version, pv.status, pv.mlflow_model_name, pv.mlflow_model_version
ORDER BY p.name, pv.version;

-- How many events of each type came in, by day of event time and by policy version?
SELECT event_date, event_type, policy_name, policy_version, count(*) AS events, count(DISTINCT unit_id) AS units
FROM exp.v_event_policy
GROUP BY event_date, event_type, policy_name, policy_version
ORDER BY event_date, event_type, policy_version;

-- How long after they happened did events arrive?
SELECT event_type, count(*) AS events, percentile_cont(0.5) WITHIN GROUP (ORDER BY created_at - event_time) AS median_delay,
  max(created_at - event_time) AS longest_delay
FROM exp.events
GROUP BY event_type
ORDER BY event_type;

-- Did a model do online what its replay promised?
SELECT model_name, model_version, verdict, offline_metrics ->> 'acceptance_rate' AS promised_acceptance,
  treatment_value AS measured_acceptance, control_value AS acceptance_of_control, estimate, lower, upper
FROM exp.v_offline_vs_online
WHERE metric_name = 'acceptance_rate'
ORDER BY replayed_at;

-- Which units do results leave out, and why?
SELECT x.key, coalesce(u.reason, 'none is left out') AS reason, count(u.unit_id) AS units
FROM exp.experiments x
LEFT JOIN exp.v_excluded_units u ON u.experiment_id = x.id
GROUP BY x.key, u.reason
ORDER BY x.key;

-- Do events contradict the stored assignments?
SELECT x.key, count(*) FILTER (WHERE e.assignment_mismatch) AS contradicting, count(*) AS events
FROM exp.event_variants e
JOIN exp.experiments x ON x.id = e.experiment_id
GROUP BY x.key
ORDER BY x.key;

-- How is the click rate of each item position under each policy (Open Bandit)?
SELECT v.name AS policy, (e.context ->> 'position')::integer AS position, count(*) AS impressions,
  avg((e.metrics ->> 'click')::float8) AS click_rate
FROM exp.event_variants e
JOIN exp.variants v ON v.id = e.variant_id
WHERE e.event_type = 'impression'
GROUP BY 1, 2
ORDER BY 2, 1;

-- Which households ask most, and what do their plans cost?
SELECT unit_id AS household, sum(count) AS plans, sum(sum) AS cost_usd
FROM exp.unit_daily_metrics
WHERE unit_type = 'household' AND metric_name = 'cost_usd'
GROUP BY unit_id
ORDER BY plans DESC, household
LIMIT 20;

-- How does the acceptance of households spread, per variant (one value per household)?
SELECT v.name AS variant, width_bucket(m.sum / m.count, 0, 1.0001, 5) AS fifth, count(*) AS households
FROM exp.unit_metrics m
JOIN exp.variants v ON v.id = m.variant_id
JOIN exp.experiments x ON x.id = m.experiment_id
WHERE x.key = 'planner-policy' AND m.metric_name = 'accepted'
GROUP BY v.name, fifth
ORDER BY v.name, fifth;

-- How many plans were accepted, edited or left without an answer?
SELECT coalesce(reaction, 'no answer') AS reaction, count(*) AS plans
FROM exp.training_rows
WHERE request IS NOT NULL
GROUP BY reaction
ORDER BY plans DESC;

-- Which households had children when their plan was made (the row that held at that time)?
SELECT coalesce((h.attributes -> 'members') @> '[{"age_group": "child"}]', false) AS has_children, count(*) AS plans,
  avg((t.reaction = 'accepted')::int) FILTER (WHERE t.reaction IS NOT NULL) AS acceptance_rate
FROM exp.training_rows t
JOIN exp.households h ON h.household_id = t.household_id AND h.valid_from <= t.requested_at
  AND (h.valid_to IS NULL OR t.requested_at < h.valid_to)
GROUP BY has_children;

-- Who changed an experiment, when, and why?
SELECT x.key, c.version, c.changed_at, c.changed_by, c.reason
FROM exp.experiment_versions c
JOIN exp.experiments x ON x.id = c.experiment_id
ORDER BY c.changed_at DESC;

-- How far is each consumer group, and when did it last move?
SELECT consumer_group, topic, count(*) AS partitions, sum(next_offset) AS records_behind_it, max(updated_at) AS last_moved,
  bool_or(paused_at IS NOT NULL) AS is_paused
FROM exp.consumer_offsets
GROUP BY consumer_group, topic
ORDER BY consumer_group;

-- What does the archive hold, by day of arrival?
SELECT dt AS day_of_arrival, count(*) AS objects, sum(row_count) AS records, min(event_time_min) AS first_event,
  max(event_time_max) AS last_event
FROM exp.archive_manifest
WHERE status = 'committed' AND superseded_by IS NULL
GROUP BY day_of_arrival
ORDER BY day_of_arrival;
