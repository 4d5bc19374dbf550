-- Events, partitioned by the UTC day of their event time, with partitions made ahead or on demand within bounds.
CREATE TABLE exp.events (
  event_date date NOT NULL,
  event_id uuid NOT NULL,
  event_type text NOT NULL,
  unit_type text NOT NULL,
  unit_id text NOT NULL,
  experiments jsonb NOT NULL,
  context jsonb NOT NULL,
  metrics jsonb NOT NULL,
  payload jsonb,
  event_time timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  producer text NOT NULL,
  mismatched_experiment_ids uuid[],
  source_topic text NOT NULL,
  source_partition integer NOT NULL,
  source_offset bigint NOT NULL,
  PRIMARY KEY (event_date, event_id),
  CHECK (event_date = (event_time AT TIME ZONE 'UTC')::date)
) PARTITION BY RANGE (event_date);
COMMENT ON COLUMN exp.events.created_at IS 'Ingest time: when the event was accepted';
COMMENT ON COLUMN exp.events.mismatched_experiment_ids IS 'Experiments whose variant in this event contradicts the stored assignment; excluded from results';
CREATE INDEX events_by_unit ON exp.events (unit_id, event_time);

-- One row per consumer group and event for groups whose effects have no natural key.
CREATE TABLE exp.event_claims (
  event_date date NOT NULL,
  event_id uuid NOT NULL,
  consumer_group text NOT NULL,
  PRIMARY KEY (event_date, event_id, consumer_group)
) PARTITION BY RANGE (event_date);

-- Creates the partitions of one day when they are missing. A new partition is built aside and attached, because creating it
-- in place would lock out every reader and writer of the parent. Call it in a transaction of its own.
CREATE FUNCTION exp.ensure_event_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, exp AS $$
DECLARE
  parent text;
  child text;
BEGIN
  IF day < DATE '2000-01-01' OR day > (now() AT TIME ZONE 'UTC')::date + 370 THEN
    RAISE EXCEPTION 'event day % is outside 2000-01-01 .. one year from now', day USING ERRCODE = '22008';
  END IF;
  IF to_regclass(format('exp.events_%s', to_char(day, 'YYYYMMDD'))) IS NOT NULL
     AND to_regclass(format('exp.event_claims_%s', to_char(day, 'YYYYMMDD'))) IS NOT NULL THEN
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock(7160002);
  FOREACH parent IN ARRAY ARRAY['events', 'event_claims'] LOOP
    child := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
    BEGIN
      EXECUTE format('CREATE TABLE exp.%I (LIKE exp.%I INCLUDING ALL)', child, parent);
      EXECUTE format('ALTER TABLE exp.%I ATTACH PARTITION exp.%I FOR VALUES FROM (%L) TO (%L)', parent, child, day, day + 1);
    EXCEPTION WHEN duplicate_table THEN
      -- Made and attached by whoever held the lock before: looking first would still see the catalog as it was before the wait.
      NULL;
    END;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION exp.ensure_event_day(date) FROM PUBLIC;

-- One row per event and experiment.
CREATE VIEW exp.event_variants AS
SELECT e.event_date, e.event_id, e.event_type, e.unit_type, e.unit_id, r.experiment_id, r.variant_id,
  e.event_time, e.metrics, e.context,
  coalesce(r.experiment_id = ANY (e.mismatched_experiment_ids), false) AS assignment_mismatch
FROM exp.events e
CROSS JOIN LATERAL jsonb_to_recordset(e.experiments) AS r (experiment_id uuid, variant_id uuid);
