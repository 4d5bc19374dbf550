-- The batch recount: what the tables of the metrics-aggregator must hold, counted anew from exp.events.
--
-- The one definition, used by tests and by `ops reconcile`, which narrows the first view to the events that the group has counted and
-- to a window. Run this file in a session, then compare each table with the temporary view of its name, for example TABLE exp.first_exposures EXCEPT TABLE pg_temp.recount_first_exposures. Counts, min,
-- max and bins are equal exactly; sum, mean and m2 but for the rounding of another order of addition (1e-9, relative).

CREATE OR REPLACE TEMPORARY VIEW recount_events AS
SELECT event_date, event_id, event_type, unit_type, unit_id, event_time, experiments, metrics FROM exp.events;

-- Events that the aggregator accepts: it refuses those with a metric beyond 1e100, whose squares leave the range of a double.
CREATE OR REPLACE TEMPORARY VIEW recount_values AS
SELECT e.event_date, e.event_id, e.event_type, e.unit_type, e.unit_id, e.event_time, e.experiments,
  m.key AS metric_name, m.value::float8 AS value
FROM recount_events e
CROSS JOIN LATERAL jsonb_each(e.metrics) AS m
WHERE NOT EXISTS (SELECT FROM jsonb_each(e.metrics) AS o WHERE abs(o.value::float8) > 1e100);

CREATE OR REPLACE TEMPORARY VIEW recount_experiment_values AS
SELECT r.experiment_id, r.variant_id, v.event_date, v.event_id, v.unit_id, v.event_time, v.metric_name, v.value
FROM recount_values v
CROSS JOIN LATERAL jsonb_to_recordset(v.experiments) AS r (experiment_id uuid, variant_id uuid);

CREATE OR REPLACE TEMPORARY VIEW recount_metric_aggregates AS
SELECT experiment_id, variant_id, metric_name, granularity, date_trunc(granularity, event_time, 'UTC') AS bucket_start,
  count(*) AS count, sum(value) AS sum, avg(value) AS mean, regr_sxx(value, value) AS m2, min(value) AS min, max(value) AS max
FROM recount_experiment_values
CROSS JOIN (VALUES ('hour'), ('day')) AS g (granularity)
GROUP BY 1, 2, 3, 4, 5;

CREATE OR REPLACE TEMPORARY VIEW recount_metric_aggregate_bins AS
SELECT experiment_id, variant_id, metric_name, granularity, date_trunc(granularity, event_time, 'UTC') AS bucket_start,
  exp.sketch_bin(value) AS bin, count(*) AS count
FROM recount_experiment_values
CROSS JOIN (VALUES ('hour'), ('day')) AS g (granularity)
GROUP BY 1, 2, 3, 4, 5, 6;

-- An exposure is an event of an exposure type (schemas/event-types.ts) or, in an experiment with implicit exposure, any event.
CREATE OR REPLACE TEMPORARY VIEW recount_first_exposures AS
SELECT r.experiment_id, e.unit_id, r.variant_id, min(e.event_time) AS first_exposed_at
FROM recount_events e
CROSS JOIN LATERAL jsonb_to_recordset(e.experiments) AS r (experiment_id uuid, variant_id uuid)
LEFT JOIN exp.experiments x ON x.id = r.experiment_id
WHERE (e.event_type IN ('exposure') OR x.exposure = 'implicit')
  AND NOT EXISTS (SELECT FROM jsonb_each(e.metrics) AS o WHERE abs(o.value::float8) > 1e100)
GROUP BY 1, 2, 3;

CREATE OR REPLACE TEMPORARY VIEW recount_unit_metrics AS
SELECT v.experiment_id, v.variant_id, v.unit_id, v.metric_name,
  count(*) AS count, sum(v.value) AS sum, min(v.value) AS min, max(v.value) AS max
FROM recount_experiment_values v
JOIN recount_first_exposures f USING (experiment_id, unit_id, variant_id)
WHERE v.event_time >= f.first_exposed_at
GROUP BY 1, 2, 3, 4;

CREATE OR REPLACE TEMPORARY VIEW recount_unit_pending_metrics AS
SELECT v.experiment_id, v.unit_id, v.variant_id, v.event_date, v.event_id, v.metric_name, v.event_time, v.value
FROM recount_experiment_values v
LEFT JOIN recount_first_exposures f USING (experiment_id, unit_id, variant_id)
WHERE f.first_exposed_at IS NULL OR v.event_time < f.first_exposed_at;

CREATE OR REPLACE TEMPORARY VIEW recount_unit_daily_metrics AS
SELECT unit_type, unit_id, metric_name, event_date AS day,
  count(*) AS count, sum(value) AS sum, min(value) AS min, max(value) AS max
FROM recount_values
GROUP BY 1, 2, 3, 4;
