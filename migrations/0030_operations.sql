-- What operators did with dead letters, and compacted archive files that take the place of the segments they were made from.
CREATE TABLE exp.dead_letter_actions (
  group_id text NOT NULL,
  source_topic text NOT NULL,
  source_partition integer NOT NULL,
  source_offset bigint NOT NULL,
  action text NOT NULL CHECK (action IN ('retried', 'discarded')),
  at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL,
  because text,
  PRIMARY KEY (group_id, source_topic, source_partition, source_offset)
);
COMMENT ON TABLE exp.dead_letter_actions IS 'The last thing an operator did with a dead letter; one without a row is open. A retried record that fails again has a new position';

ALTER TABLE exp.archive_manifest
  ALTER COLUMN kafka_partition DROP NOT NULL,
  ALTER COLUMN first_offset DROP NOT NULL,
  ALTER COLUMN last_offset DROP NOT NULL,
  ADD COLUMN duplicate_count bigint CHECK (duplicate_count >= 0),
  ADD COLUMN superseded_by bigint REFERENCES exp.archive_manifest (id),
  ADD COLUMN superseded_at timestamptz,
  ADD COLUMN object_removed_at timestamptz,
  ADD CONSTRAINT archive_manifest_ranges_of_segments
    CHECK ((kind = 'segment') = (num_nulls(kafka_partition, first_offset, last_offset) = 0)),
  ADD CONSTRAINT archive_manifest_superseded
    CHECK ((status = 'superseded') = (superseded_by IS NOT NULL) AND (status = 'superseded') = (superseded_at IS NOT NULL)),
  ADD CONSTRAINT archive_manifest_removed CHECK (object_removed_at IS NULL OR status = 'superseded');
COMMENT ON COLUMN exp.archive_manifest.duplicate_count IS 'Compacted files: rows of an identity that was there already, left out';
COMMENT ON COLUMN exp.archive_manifest.superseded_by IS 'The compacted file that holds the rows of this one; its offset range stays on record here';
COMMENT ON COLUMN exp.archive_manifest.object_removed_at IS 'When the object of a superseded row was deleted: after the time that readers may take';
CREATE INDEX archive_manifest_hours ON exp.archive_manifest (dt, hour) WHERE status = 'committed';

-- Compaction runs with the role of the archiver: both write the archive and nothing else.
GRANT SELECT, INSERT, UPDATE, DELETE ON exp.dead_letter_actions TO operator;
GRANT SELECT ON exp.dead_letter_actions TO analyst;
