-- The manifest of the archive: which offset range is in which object. Readers of the archive go through it.
CREATE TABLE exp.archive_manifest (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic text NOT NULL,
  kafka_partition integer NOT NULL,
  first_offset bigint NOT NULL,
  last_offset bigint NOT NULL,
  status text NOT NULL CHECK (status IN ('claimed', 'committed', 'superseded')),
  kind text NOT NULL DEFAULT 'segment' CHECK (kind IN ('segment', 'compacted')),
  object_key text NOT NULL UNIQUE,
  dt date NOT NULL,
  hour smallint NOT NULL CHECK (hour BETWEEN 0 AND 23),
  row_count bigint,
  dead_lettered_count bigint,
  size_bytes bigint,
  content_sha256 text,
  event_time_min timestamptz,
  event_time_max timestamptz,
  append_time_min timestamptz,
  append_time_max timestamptz,
  claimed_at timestamptz NOT NULL DEFAULT now(),
  committed_at timestamptz,
  CHECK (first_offset <= last_offset),
  CHECK (status = 'claimed' OR (row_count IS NOT NULL AND committed_at IS NOT NULL))
);
COMMENT ON COLUMN exp.archive_manifest.last_offset IS 'Inclusive';
COMMENT ON COLUMN exp.archive_manifest.dt IS 'Broker append time, UTC, so that hours close';
CREATE UNIQUE INDEX archive_manifest_one_open_claim ON exp.archive_manifest (topic, kafka_partition) WHERE status = 'claimed';
CREATE UNIQUE INDEX archive_manifest_ranges ON exp.archive_manifest (topic, kafka_partition, first_offset) WHERE kind = 'segment';
