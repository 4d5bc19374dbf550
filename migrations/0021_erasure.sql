-- Erasure of a unit: one function that does all of it in Postgres, and the check that every process uses the same key.
CREATE TABLE exp.erasure_key (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  fingerprint bytea NOT NULL
);
COMMENT ON TABLE exp.erasure_key IS 'Fingerprint of the key of exp.erasures: a process with another key would let erased units pass';

-- True when the fingerprint is the one of this database; the first one ever given is.
CREATE FUNCTION exp.claim_erasure_key(given bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, exp AS $$
BEGIN
  INSERT INTO exp.erasure_key (fingerprint) VALUES (given) ON CONFLICT DO NOTHING;
  RETURN (SELECT fingerprint = given FROM exp.erasure_key);
END $$;

-- Erasing takes this lock alone; whoever writes rows of units shares it, from before it looks for erased units until its commit.
-- So no writer that has not seen the erasure commits after it.
CREATE FUNCTION exp.share_erasure_lock() RETURNS void
LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock_shared(7160021) $$;

CREATE INDEX assignment_outbox_tombstones ON exp.assignment_outbox (published_at) WHERE kind = 'tombstone';

-- Removes a unit's assignments and domain data, and puts a pseudonym in place of its id in what was measured. Repeating it is
-- safe: the pseudonym stays. Events lose context and payload, which may hold anything about the unit.
CREATE FUNCTION exp.erase_unit(
  erased_type text, erased_id text, erased_hash bytea, new_pseudonym text, actor text
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, exp AS $$
DECLARE
  stand_in text;
  touched uuid[];
  assignment_count bigint;
  event_count bigint;
  domain_count bigint := 0;
  some_count bigint;
  result jsonb;
BEGIN
  PERFORM pg_advisory_xact_lock(7160021);
  INSERT INTO exp.erasures AS e (unit_hash, pseudonym, erased_at, requested_by)
  VALUES (erased_hash, new_pseudonym, clock_timestamp(), actor)
  ON CONFLICT (unit_hash) DO UPDATE SET erased_at = excluded.erased_at
  RETURNING e.pseudonym INTO stand_in;

  -- Experiments that may hold rows of this unit: those of its type, and those that its events name.
  SELECT array_agg(DISTINCT id) INTO touched FROM (
    SELECT id FROM exp.experiments WHERE unit_type = erased_type
    UNION ALL
    SELECT r.experiment_id FROM exp.events e CROSS JOIN LATERAL jsonb_to_recordset(e.experiments) AS r (experiment_id uuid)
    WHERE e.unit_id = erased_id AND e.unit_type = erased_type
  ) AS named;

  WITH removed AS (
    DELETE FROM exp.assignments WHERE unit_id = erased_id AND unit_type = erased_type RETURNING experiment_id, source
  ), kept_out AS (
    INSERT INTO exp.excluded_units (experiment_id, unit_id, reason)
    SELECT experiment_id, stand_in, 'forced' FROM removed WHERE source = 'forced' ON CONFLICT DO NOTHING
  ), announced AS (
    INSERT INTO exp.assignment_outbox (experiment_id, unit_id, kind)
    SELECT experiment_id, erased_id, 'tombstone' FROM removed
  )
  SELECT count(*) INTO assignment_count FROM removed;
  -- Older rows of the outbox hold the id too: as tombstones they are removed soon after they are published.
  UPDATE exp.assignment_outbox SET kind = 'tombstone'
  WHERE unit_id = erased_id AND experiment_id = ANY (touched) AND kind <> 'tombstone';

  INSERT INTO exp.excluded_units (experiment_id, unit_id, reason, excluded_at)
  SELECT experiment_id, stand_in, reason, excluded_at FROM exp.excluded_units
  WHERE experiment_id = ANY (touched) AND unit_id = erased_id
  ON CONFLICT DO NOTHING;
  DELETE FROM exp.excluded_units WHERE experiment_id = ANY (touched) AND unit_id = erased_id;
  DELETE FROM exp.unit_links WHERE unit_type = erased_type AND erased_id IN (unit_id, anonymous_unit_id);

  -- Before events lose their payload: a reaction may be stored whose plan never arrived, so that nothing else says whose it is.
  DELETE FROM exp.training_rows t USING exp.events e
  WHERE e.unit_id = erased_id AND e.unit_type = erased_type AND e.payload ? 'plan_id'
    AND t.plan_id::text = lower(e.payload ->> 'plan_id');
  GET DIAGNOSTICS some_count = ROW_COUNT;
  domain_count := domain_count + some_count;
  -- The planner's own tables: its units are households.
  IF erased_type = 'household' THEN
    DELETE FROM exp.training_rows WHERE household_id = erased_id;
    GET DIAGNOSTICS some_count = ROW_COUNT;
    domain_count := domain_count + some_count;
    DELETE FROM exp.plans WHERE household_id = erased_id;
    GET DIAGNOSTICS some_count = ROW_COUNT;
    domain_count := domain_count + some_count;
    DELETE FROM exp.pantry_items WHERE household_id = erased_id;
    GET DIAGNOSTICS some_count = ROW_COUNT;
    domain_count := domain_count + some_count;
    DELETE FROM exp.constraints WHERE household_id = erased_id;
    GET DIAGNOSTICS some_count = ROW_COUNT;
    domain_count := domain_count + some_count;
    DELETE FROM exp.households WHERE household_id = erased_id;
    GET DIAGNOSTICS some_count = ROW_COUNT;
    domain_count := domain_count + some_count;
  END IF;

  UPDATE exp.events SET unit_id = stand_in, context = '{}', payload = NULL
  WHERE unit_id = erased_id AND unit_type = erased_type;
  GET DIAGNOSTICS event_count = ROW_COUNT;

  -- Per-unit rows move to the pseudonym. Rows that are there already come from an earlier erasure of the same unit.
  INSERT INTO exp.first_exposures AS f (experiment_id, unit_id, variant_id, first_exposed_at)
  SELECT experiment_id, stand_in, variant_id, first_exposed_at FROM exp.first_exposures
  WHERE experiment_id = ANY (touched) AND unit_id = erased_id
  ON CONFLICT (experiment_id, unit_id, variant_id)
    DO UPDATE SET first_exposed_at = least(f.first_exposed_at, excluded.first_exposed_at);
  DELETE FROM exp.first_exposures WHERE experiment_id = ANY (touched) AND unit_id = erased_id;

  INSERT INTO exp.unit_metrics AS m (experiment_id, variant_id, unit_id, metric_name, count, sum, min, max)
  SELECT experiment_id, variant_id, stand_in, metric_name, count, sum, min, max FROM exp.unit_metrics
  WHERE experiment_id = ANY (touched) AND unit_id = erased_id
  ON CONFLICT (experiment_id, unit_id, variant_id, metric_name) DO UPDATE SET count = m.count + excluded.count,
    sum = m.sum + excluded.sum, min = least(m.min, excluded.min), max = greatest(m.max, excluded.max);
  DELETE FROM exp.unit_metrics WHERE experiment_id = ANY (touched) AND unit_id = erased_id;

  INSERT INTO exp.unit_pending_metrics
    (experiment_id, unit_id, variant_id, event_date, event_id, metric_name, event_time, value)
  SELECT experiment_id, stand_in, variant_id, event_date, event_id, metric_name, event_time, value
  FROM exp.unit_pending_metrics WHERE experiment_id = ANY (touched) AND unit_id = erased_id
  ON CONFLICT DO NOTHING;
  DELETE FROM exp.unit_pending_metrics WHERE experiment_id = ANY (touched) AND unit_id = erased_id;

  INSERT INTO exp.unit_daily_metrics AS d (unit_type, unit_id, metric_name, day, count, sum, min, max)
  SELECT unit_type, stand_in, metric_name, day, count, sum, min, max FROM exp.unit_daily_metrics
  WHERE unit_type = erased_type AND unit_id = erased_id
  ON CONFLICT (unit_type, unit_id, metric_name, day) DO UPDATE SET count = d.count + excluded.count,
    sum = d.sum + excluded.sum, min = least(d.min, excluded.min), max = greatest(d.max, excluded.max);
  DELETE FROM exp.unit_daily_metrics WHERE unit_type = erased_type AND unit_id = erased_id;

  result := jsonb_build_object('assignments', assignment_count, 'events', event_count, 'domain_rows', domain_count);
  INSERT INTO exp.audit_log (actor, action, subject, detail) VALUES (actor, 'erase-unit', stand_in, result);
  -- Instances forget what they remember of the unit. Notifications are not stored.
  PERFORM pg_notify('exp_erasures', erased_id);
  RETURN result || jsonb_build_object('pseudonym', stand_in);
END $$;

REVOKE ALL ON FUNCTION exp.erase_unit(text, text, bytea, text, text), exp.claim_erasure_key(bytea),
  exp.share_erasure_lock() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION exp.erase_unit(text, text, bytea, text, text) TO assignment_service, operator;
GRANT EXECUTE ON FUNCTION exp.claim_erasure_key(bytea), exp.share_erasure_lock()
  TO assignment_service, postgres_sink, parquet_archiver, metrics_aggregator, dataset_builder, operator;
