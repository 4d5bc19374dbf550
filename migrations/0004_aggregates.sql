-- What the metrics-aggregator maintains: windows by event time, first exposures, and per-unit sums that inference starts from.
CREATE TABLE exp.metric_aggregates (
  experiment_id uuid NOT NULL,
  variant_id uuid NOT NULL,
  metric_name text NOT NULL,
  granularity text NOT NULL CHECK (granularity IN ('hour', 'day')),
  bucket_start timestamptz NOT NULL,
  count bigint NOT NULL CHECK (count > 0),
  sum double precision NOT NULL,
  -- A quotient too small for a double is an error in Postgres, so the smallest sums have the mean zero.
  mean double precision NOT NULL GENERATED ALWAYS AS (CASE WHEN abs(sum) < 1e-290 THEN 0 ELSE sum / count END) STORED,
  m2 double precision NOT NULL CHECK (m2 >= 0),
  min double precision NOT NULL,
  max double precision NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (experiment_id, variant_id, metric_name, granularity, bucket_start)
) WITH (fillfactor = 50);
COMMENT ON COLUMN exp.metric_aggregates.m2 IS 'Sum of squared differences from the mean; variance = m2 / (count - 1)';
COMMENT ON COLUMN exp.metric_aggregates.bucket_start IS 'Start of the tumbling window by event time, UTC, inclusive';

-- The m2 of two disjoint sets together (Chan, Golub, LeVeque 1979). A square that leaves the range of a double is an error in
-- Postgres, not zero or infinity, so squares that are nothing beside any value are left out; magnitudes are bounded by the
-- aggregator, which refuses metrics beyond 1e100.
CREATE FUNCTION exp.merged_m2(
  count_a bigint, mean_a double precision, m2_a double precision,
  count_b bigint, mean_b double precision, m2_b double precision
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN m2_a + m2_b + CASE
  WHEN abs(mean_b - mean_a) < 1e-150 THEN 0
  ELSE (mean_b - mean_a) * (mean_b - mean_a) * (count_a::float8 * count_b::float8 / (count_a + count_b)::float8)
END;

-- The percentile sketch of each aggregate, one row per bin, so that two members can add to it at once.
CREATE TABLE exp.metric_aggregate_bins (
  experiment_id uuid NOT NULL,
  variant_id uuid NOT NULL,
  metric_name text NOT NULL,
  granularity text NOT NULL CHECK (granularity IN ('hour', 'day')),
  bucket_start timestamptz NOT NULL,
  bin integer NOT NULL,
  count bigint NOT NULL CHECK (count > 0),
  PRIMARY KEY (experiment_id, variant_id, metric_name, granularity, bucket_start, bin)
) WITH (fillfactor = 50);

CREATE TABLE exp.first_exposures (
  experiment_id uuid NOT NULL,
  unit_id text NOT NULL,
  variant_id uuid NOT NULL,
  first_exposed_at timestamptz NOT NULL,
  PRIMARY KEY (experiment_id, unit_id, variant_id)
);
-- The aggregator holds the key of a unit that is not exposed yet by inserting and deleting its row in one transaction.
GRANT DELETE ON exp.first_exposures TO metrics_aggregator;
COMMENT ON TABLE exp.first_exposures IS 'Earliest exposure of a unit to a variant; a unit with two rows met two variants and is excluded from results';

CREATE TABLE exp.unit_metrics (
  experiment_id uuid NOT NULL,
  variant_id uuid NOT NULL,
  unit_id text NOT NULL,
  metric_name text NOT NULL,
  count bigint NOT NULL CHECK (count > 0),
  sum double precision NOT NULL,
  min double precision NOT NULL,
  max double precision NOT NULL,
  PRIMARY KEY (experiment_id, unit_id, variant_id, metric_name)
) WITH (fillfactor = 60);
COMMENT ON TABLE exp.unit_metrics IS 'Per unit: events at or after its first exposure to the variant';

-- Metric values seen before any exposure that could cover them. When an earlier exposure arrives they move to unit_metrics.
CREATE TABLE exp.unit_pending_metrics (
  experiment_id uuid NOT NULL,
  unit_id text NOT NULL,
  variant_id uuid NOT NULL,
  event_date date NOT NULL,
  event_id uuid NOT NULL,
  metric_name text NOT NULL,
  event_time timestamptz NOT NULL,
  value double precision NOT NULL,
  PRIMARY KEY (experiment_id, unit_id, variant_id, event_date, event_id, metric_name)
);

CREATE TABLE exp.unit_daily_metrics (
  unit_type text NOT NULL,
  unit_id text NOT NULL,
  metric_name text NOT NULL,
  day date NOT NULL,
  count bigint NOT NULL CHECK (count > 0),
  sum double precision NOT NULL,
  min double precision NOT NULL,
  max double precision NOT NULL,
  PRIMARY KEY (unit_type, unit_id, metric_name, day)
) WITH (fillfactor = 60);
COMMENT ON TABLE exp.unit_daily_metrics IS 'Per unit and UTC day, independent of experiments: covariates for variance reduction';
