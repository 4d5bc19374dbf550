-- Retention of event days: what may be dropped, the drop itself, and a record of it, because aggregates outlive their events.
CREATE TABLE exp.dropped_event_days (
  event_date date PRIMARY KEY,
  event_count bigint NOT NULL,
  dropped_at timestamptz NOT NULL DEFAULT now(),
  dropped_by text NOT NULL
);
COMMENT ON TABLE exp.dropped_event_days IS 'Days that retention took from exp.events; the archive has them. Their aggregates can no more be recounted';
GRANT SELECT ON exp.dropped_event_days TO analyst, operator;

-- Why a day must stay, or null when it may go: its newest ingest is older than the limit and every offset range is archived.
CREATE FUNCTION exp.reason_to_keep_event_day(day date, max_age interval) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, exp SET timezone = 'UTC' AS $$
DECLARE
  missing record;
BEGIN
  -- Kafka keeps events for 14 days: a day must not go while a replay could bring its events back as if they were new.
  IF max_age < interval '15 days' THEN
    RAISE EXCEPTION 'event days are kept for at least 15 days, longer than Kafka keeps events' USING ERRCODE = '22023';
  END IF;
  IF (day + 1)::timestamptz > now() - max_age THEN
    RETURN 'the day itself is younger than the limit';
  END IF;
  IF EXISTS (SELECT FROM exp.events WHERE event_date = day AND created_at >= now() - max_age) THEN
    RETURN 'events of it were ingested within the limit';
  END IF;
  -- From its first to its last offset, each partition must be covered by segments without a gap.
  SELECT e.source_topic, e.source_partition, e.first_offset, e.last_offset INTO missing
  FROM (SELECT source_topic, source_partition, min(source_offset) AS first_offset, max(source_offset) AS last_offset
        FROM exp.events WHERE event_date = day GROUP BY 1, 2) e
  WHERE e.last_offset - e.first_offset + 1 IS DISTINCT FROM (
    SELECT sum(least(m.last_offset, e.last_offset) - greatest(m.first_offset, e.first_offset) + 1)
    FROM exp.archive_manifest m
    WHERE m.topic = e.source_topic AND m.kafka_partition = e.source_partition AND m.kind = 'segment'
      AND m.status <> 'claimed' AND m.first_offset <= e.last_offset AND m.last_offset >= e.first_offset)
  LIMIT 1;
  IF FOUND THEN
    RETURN format('offsets %s to %s of partition %s are not all archived', missing.first_offset, missing.last_offset,
      missing.source_partition);
  END IF;
  RETURN NULL;
END $$;

-- Drops the partitions of a day when nothing keeps it. Whoever writes or reads events waits for it, at most three seconds. The
-- answer is the number of events, or null when the day stays.
CREATE FUNCTION exp.drop_event_day(day date, max_age interval, actor text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, exp SET timezone = 'UTC' SET lock_timeout = '3s' AS $$
DECLARE
  counted bigint;
BEGIN
  IF exp.reason_to_keep_event_day(day, max_age) IS NOT NULL THEN RETURN NULL; END IF;
  SELECT count(*) INTO counted FROM exp.events WHERE event_date = day;
  LOCK TABLE ONLY exp.events, ONLY exp.event_claims IN ACCESS EXCLUSIVE MODE;
  -- An event that came since the look keeps the day.
  IF (SELECT count(*) FROM exp.events WHERE event_date = day) <> counted THEN RETURN NULL; END IF;
  EXECUTE format('DROP TABLE IF EXISTS exp.%I, exp.%I', 'events_' || to_char(day, 'YYYYMMDD'),
    'event_claims_' || to_char(day, 'YYYYMMDD'));
  INSERT INTO exp.dropped_event_days AS d (event_date, event_count, dropped_by) VALUES (day, counted, actor)
  ON CONFLICT (event_date) DO UPDATE SET event_count = d.event_count + excluded.event_count, dropped_at = now(),
    dropped_by = excluded.dropped_by;
  INSERT INTO exp.audit_log (actor, action, subject, detail)
  VALUES (actor, 'retention.drop-event-day', day::text, jsonb_build_object('events', counted));
  RETURN counted;
END $$;
REVOKE ALL ON FUNCTION exp.drop_event_day(date, interval, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION exp.drop_event_day(date, interval, text) TO operator;

-- Partitions of a day, as before, now with what autovacuum should do: tables that are only added to are vacuumed early, so that
-- index-only scans work on the present day too.
CREATE OR REPLACE FUNCTION exp.ensure_event_day(day date) RETURNS void
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
      EXECUTE format('CREATE TABLE exp.%I (LIKE exp.%I INCLUDING ALL) WITH (autovacuum_vacuum_insert_scale_factor = 0.05,
        autovacuum_analyze_scale_factor = 0.05)', child, parent);
      EXECUTE format('ALTER TABLE exp.%I ATTACH PARTITION exp.%I FOR VALUES FROM (%L) TO (%L)', parent, child, day, day + 1);
    EXCEPTION WHEN duplicate_table THEN
      -- Made and attached by whoever held the lock before: looking first would still see the catalog as it was before the wait.
      NULL;
    END;
  END LOOP;
END $$;

-- Tables whose rows are updated all the time: with the default of a fifth they would carry millions of dead rows.
ALTER TABLE exp.metric_aggregates SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE exp.metric_aggregate_bins SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE exp.unit_metrics SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE exp.unit_daily_metrics SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE exp.first_exposures SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE exp.unit_pending_metrics SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE exp.assignment_outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
