-- The schema, one least-privilege role per process, and the read-only role of analysts.
CREATE SCHEMA exp;

DO $$
DECLARE
  role_name text;
BEGIN
  -- Roles belong to the server, not to one database: two databases migrated at once must not collide.
  PERFORM pg_advisory_xact_lock(7160001);
  FOREACH role_name IN ARRAY ARRAY[
    'analyst', 'assignment_service', 'ingestion_service',
    'postgres_sink', 'parquet_archiver', 'metrics_aggregator', 'dataset_builder', 'operator'
  ] LOOP
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role_name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
    END IF;
  END LOOP;
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA exp TO analyst, assignment_service, ingestion_service, postgres_sink, parquet_archiver,
  metrics_aggregator, dataset_builder, operator;

-- Where each consumer group continues, moved in the same transaction as its effects. The position is fenced: an UPDATE that
-- does not find the expected next_offset means that another member owns the partition.
CREATE TABLE exp.consumer_offsets (
  consumer_group text NOT NULL,
  topic text NOT NULL,
  kafka_partition integer NOT NULL CHECK (kafka_partition >= 0),
  next_offset bigint NOT NULL CHECK (next_offset >= 0),
  cluster_id text NOT NULL,
  topic_id text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer_group, topic, kafka_partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE exp.consumer_offsets IS 'Next offset of each consumer group and partition; cluster and topic id say which log it is a position in';

CREATE TABLE exp.audit_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL,
  action text NOT NULL,
  subject text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE exp.audit_log IS 'Who did what to which subject, append only';

CREATE TABLE exp.api_keys (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL UNIQUE,
  key_hash bytea NOT NULL UNIQUE,
  scopes text[] NOT NULL CHECK (scopes <@ ARRAY['assign', 'ingest', 'admin', 'read']),
  created_at timestamptz NOT NULL DEFAULT now(),
  revoked_at timestamptz
);
COMMENT ON COLUMN exp.api_keys.key_hash IS 'SHA-256 of the key; the key itself is never stored';
