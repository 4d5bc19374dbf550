-- Percentiles in one pass over the bins of a window instead of one per percentile; the view of latency and cost reads the bins of
-- its own windows only. Same columns and values as before.
CREATE OR REPLACE VIEW exp.v_metric_quantiles AS
SELECT experiment_id, variant_id, metric_name, granularity, bucket_start, sum(count)::bigint AS count,
  exp.sketch_bin_value(min(bin) FILTER (WHERE cumulative > 0.5 * (total - 1))) AS p50,
  exp.sketch_bin_value(min(bin) FILTER (WHERE cumulative > 0.9 * (total - 1))) AS p90,
  exp.sketch_bin_value(min(bin) FILTER (WHERE cumulative > 0.99 * (total - 1))) AS p99
FROM (
  SELECT b.*, sum(count::float8) OVER (span ORDER BY bin) AS cumulative, sum(count::float8) OVER span AS total
  FROM exp.metric_aggregate_bins b
  WINDOW span AS (PARTITION BY experiment_id, variant_id, metric_name, granularity, bucket_start)
) ordered
GROUP BY experiment_id, variant_id, metric_name, granularity, bucket_start;

CREATE OR REPLACE VIEW exp.v_latency_cost AS
SELECT l.experiment_key, l.experiment_name, l.iteration, l.experiment_id, l.variant_name, l.variant_id, l.policy_name, l.policy_version,
  l.mlflow_model_name, l.mlflow_model_version, l.granularity, l.bucket_start, l.count AS plans, l.mean AS latency_ms_mean,
  q.p50 AS latency_ms_p50, q.p90 AS latency_ms_p90, q.p99 AS latency_ms_p99, c.mean AS cost_usd_mean, c.sum AS cost_usd_sum
FROM exp.v_aggregate_policy l
LEFT JOIN exp.metric_aggregates c ON (c.experiment_id, c.variant_id, c.granularity, c.bucket_start, c.metric_name)
  = (l.experiment_id, l.variant_id, l.granularity, l.bucket_start, 'cost_usd')
-- Lateral, so that each window looks up its own bins by key: a join would group the bins of all experiments first.
LEFT JOIN LATERAL (
  SELECT exp.sketch_bin_value(min(bin) FILTER (WHERE cumulative > 0.5 * (total - 1))) AS p50,
    exp.sketch_bin_value(min(bin) FILTER (WHERE cumulative > 0.9 * (total - 1))) AS p90,
    exp.sketch_bin_value(min(bin) FILTER (WHERE cumulative > 0.99 * (total - 1))) AS p99
  FROM (
    SELECT b.bin, sum(b.count::float8) OVER (ORDER BY b.bin) AS cumulative, sum(b.count::float8) OVER () AS total
    FROM exp.metric_aggregate_bins b
    WHERE b.experiment_id = l.experiment_id AND b.variant_id = l.variant_id AND b.granularity = l.granularity
      AND b.bucket_start = l.bucket_start AND b.metric_name = 'latency_ms'
  ) ordered
) q ON true
WHERE l.metric_name = 'latency_ms';
