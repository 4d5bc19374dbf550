-- The archive's upkeep: which erasures are in an object, and objects that the retention policy has removed.
ALTER TABLE exp.archive_manifest
  DROP CONSTRAINT archive_manifest_status_check,
  ADD CONSTRAINT archive_manifest_status_check CHECK (status IN ('claimed', 'committed', 'superseded', 'expired')),
  DROP CONSTRAINT archive_manifest_removed,
  ADD CONSTRAINT archive_manifest_removed CHECK (object_removed_at IS NULL OR status IN ('superseded', 'expired')),
  ADD COLUMN erasures_applied_at timestamptz;
COMMENT ON COLUMN exp.archive_manifest.erasures_applied_at IS 'Units erased before this time are in the object under their pseudonyms; when null, those erased before committed_at';
CREATE INDEX archive_manifest_leftovers ON exp.archive_manifest (id)
  WHERE status IN ('superseded', 'expired') AND object_removed_at IS NULL;
CREATE INDEX archive_manifest_superseded_by ON exp.archive_manifest (superseded_by) WHERE superseded_by IS NOT NULL;
-- A compaction that died leaves a claim; the next one removes it with its object.
GRANT DELETE ON exp.archive_manifest TO parquet_archiver;
