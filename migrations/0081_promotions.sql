-- The ledger of promotions: complete rows that nobody can change, the promotion that a policy has under way, and what a ramp waits for.
ALTER TABLE exp.promotions
  ADD COLUMN reason text NOT NULL CHECK (reason <> ''),
  ADD COLUMN model_name text NOT NULL,
  ADD COLUMN model_version text NOT NULL,
  -- The version that the action made of the experiment; null where it changed none.
  ADD COLUMN experiment_version integer,
  ALTER COLUMN policy_version_id SET NOT NULL,
  ADD CHECK (action IN ('bootstrap', 'start', 'step', 'approve', 'finish', 'retire', 'roll-back', 'reinstate', 'deliver-to-all'));
COMMENT ON COLUMN exp.promotions.action IS
  'A version is in production from a row whose to_state has the status production until the next one of it with another status';
CREATE INDEX promotions_of_experiment ON exp.promotions (experiment_id, id);
CREATE INDEX promotions_of_model ON exp.promotions (model_name, id);

-- Versions that were in production before there was a ledger.
INSERT INTO exp.promotions (at, actor, action, policy_version_id, model_name, model_version, from_state, to_state, reason)
SELECT v.first_production_at, 'migration', 'bootstrap', v.id, v.mlflow_model_name, v.mlflow_model_version,
  '{"status": "candidate"}', jsonb_build_object('status', v.status), 'in production before the ledger began'
FROM exp.policy_versions v WHERE v.first_production_at IS NOT NULL ORDER BY v.first_production_at, v.id;

CREATE FUNCTION exp.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'exp.% is append-only: its rows are evidence', TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', HINT = 'A correction is a further row.';
END $$;
COMMENT ON FUNCTION exp.refuse_change IS 'For tables whose rows nobody may change, not even their owner';
CREATE TRIGGER promotions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON exp.promotions
  FOR EACH STATEMENT EXECUTE FUNCTION exp.refuse_change();
REVOKE UPDATE, DELETE ON exp.promotions FROM operator;

-- The primary key lets a policy have one promotion at a time.
CREATE TABLE exp.running_promotions (
  policy_id uuid PRIMARY KEY REFERENCES exp.policies (id),
  policy_version_id uuid NOT NULL REFERENCES exp.policy_versions (id),
  experiment_id uuid NOT NULL UNIQUE REFERENCES exp.experiments (id),
  started_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE exp.running_promotions IS 'The promotion that a policy has under way; its row goes when it is finished or rolled back, and exp.promotions says how';

-- A ramp raises traffic only while guardrails are watched: the monitor says when it looked last, or why it rests.
ALTER TABLE exp.guardrail_lease ADD COLUMN looked_at timestamptz, ADD COLUMN idle_reason text;
COMMENT ON COLUMN exp.guardrail_lease.looked_at IS 'When the monitor last looked at its input; null before its first look';

INSERT INTO exp.metric_definitions (name, definition) VALUES ('slow_plans', '{"name": "slow_plans",
  "description": "Share of the households that waited two seconds or longer for a plan", "kind": "proportion",
  "of": {"metric": "latency_ms", "take": "max"}, "at_least": 2000, "better": "decrease", "scale": "absolute", "guardrail_bound": 0.05}')
ON CONFLICT DO NOTHING;

GRANT INSERT, SELECT ON exp.promotions TO assignment_service, guardrail_monitor;
GRANT SELECT, INSERT, DELETE ON exp.running_promotions TO assignment_service, operator;
GRANT SELECT, DELETE ON exp.running_promotions TO guardrail_monitor;
GRANT SELECT ON exp.running_promotions TO analyst;
GRANT SELECT ON exp.offline_replay_results, exp.v_exposed_units TO assignment_service;
