-- What an operator says to a running group, in the rows that every flush is fenced by: pause, and a revision that fences
-- whatever a member read before the operator acted.
ALTER TABLE exp.consumer_offsets
  ADD COLUMN revision bigint NOT NULL DEFAULT 0,
  ADD COLUMN paused_at timestamptz,
  ADD COLUMN paused_by text,
  ADD COLUMN paused_because text,
  ADD CONSTRAINT consumer_offsets_pause CHECK ((paused_at IS NULL) = (paused_by IS NULL));
COMMENT ON COLUMN exp.consumer_offsets.revision IS 'Of the group, the same in all its rows: raised by every pause, resume, replay and repair. A flush with an older one is rolled back';
COMMENT ON COLUMN exp.consumer_offsets.paused_at IS 'Set by "ops pause": no flush of the group commits until "ops resume"';
