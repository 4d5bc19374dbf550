-- The percentile sketch in SQL: the bin of a value, the value of a bin, and quantiles from bins, as domain/statistics/sketch.ts.
CREATE FUNCTION exp.sketch_bin(value double precision) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE
  WHEN abs(value) < 1e-9 THEN 0
  ELSE (sign(value) * (ceil(ln(abs(value)) / 0.020000666706669525::float8) + 1037))::integer
END;
COMMENT ON FUNCTION exp.sketch_bin IS 'The sketch bin that holds a value, encoding version 1';

-- -0.01005033585350145 is ln(1 - 0.01). The last bin would overflow, which is an error in Postgres: it stands for the largest double.
CREATE FUNCTION exp.sketch_bin_value(bin integer) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE
  WHEN bin = 0 THEN 0
  WHEN (abs(bin) - 1037) * 0.020000666706669525::float8 - 0.01005033585350145::float8 >= 709.78
    THEN sign(bin) * 1.7976931348623157e308::float8
  ELSE sign(bin) * exp((abs(bin) - 1037) * 0.020000666706669525::float8 - 0.01005033585350145::float8)
END;
COMMENT ON FUNCTION exp.sketch_bin_value IS 'The value that stands for a sketch bin, within 1 % of every value in it';

-- Bins may repeat, so the rows of several windows can be given together: that merges their sketches.
CREATE FUNCTION exp.sketch_quantile(bins integer[], counts bigint[], quantile double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
  SELECT exp.sketch_bin_value(min(bin))
  FROM (
    SELECT bin, sum(count) OVER (ORDER BY bin)::float8 AS cumulative, sum(count) OVER ()::float8 AS total
    FROM unnest(bins, counts) AS b (bin, count)
  ) AS ordered
  WHERE quantile BETWEEN 0 AND 1 AND cumulative > quantile * (total - 1)
);
COMMENT ON FUNCTION exp.sketch_quantile IS
  'The q-quantile (q in 0..1) of the values in some bins, within 1 %: null for no bins. Use it with array_agg(bin), array_agg(count)';

-- Percentiles of each aggregate. For other spans group exp.metric_aggregate_bins and call exp.sketch_quantile.
CREATE VIEW exp.v_metric_quantiles AS
SELECT experiment_id, variant_id, metric_name, granularity, bucket_start, sum(count)::bigint AS count,
  exp.sketch_quantile(array_agg(bin), array_agg(count), 0.5) AS p50,
  exp.sketch_quantile(array_agg(bin), array_agg(count), 0.9) AS p90,
  exp.sketch_quantile(array_agg(bin), array_agg(count), 0.99) AS p99
FROM exp.metric_aggregate_bins
GROUP BY experiment_id, variant_id, metric_name, granularity, bucket_start;
GRANT SELECT ON exp.v_metric_quantiles TO analyst, operator;
