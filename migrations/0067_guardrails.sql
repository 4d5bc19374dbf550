-- What the guardrail monitor did, which latches it until a person clears it, and who may be the monitor.
DO $$
BEGIN
  -- Roles belong to the server, not to one database: two databases migrated at once must not collide.
  PERFORM pg_advisory_xact_lock(7160001);
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'guardrail_monitor') THEN
    CREATE ROLE guardrail_monitor NOLOGIN;
  END IF;
END $$;

CREATE TABLE exp.guardrail_actions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  action_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
  experiment_id uuid NOT NULL REFERENCES exp.experiments (id),
  -- The version that the action made of the experiment.
  experiment_version integer NOT NULL,
  variant_id uuid NOT NULL,
  metric_name text NOT NULL,
  evidence jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  published_at timestamptz,
  webhook_delivered_at timestamptz,
  cleared_at timestamptz,
  cleared_by text,
  cleared_because text,
  CHECK (num_nulls(cleared_at, cleared_by, cleared_because) IN (0, 3))
);
COMMENT ON TABLE exp.guardrail_actions IS 'Experiments that a broken guardrail stopped. While one is not cleared, the monitor leaves the experiment alone and nothing may start it again';
CREATE UNIQUE INDEX guardrail_actions_latch ON exp.guardrail_actions (experiment_id) WHERE cleared_at IS NULL;
CREATE INDEX guardrail_actions_unpublished ON exp.guardrail_actions (id) WHERE published_at IS NULL;

-- The one monitor that may act: a process that lost its lock without noticing is fenced by the epoch.
CREATE TABLE exp.guardrail_lease (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  epoch bigint NOT NULL DEFAULT 0,
  owner text,
  updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO exp.guardrail_lease DEFAULT VALUES;
INSERT INTO exp.outbox_relays (relay) VALUES ('guardrails');

GRANT USAGE ON SCHEMA exp TO guardrail_monitor;
GRANT SELECT ON exp.experiments, exp.variants, exp.experiment_versions, exp.policies, exp.policy_versions, exp.metric_definitions,
  exp.assignments, exp.first_exposures, exp.v_exposed_units, exp.excluded_units, exp.unit_metrics, exp.unit_daily_metrics, exp.events,
  exp.consumer_offsets TO guardrail_monitor;
-- It changes status and serving, with history, audit and outbox, by the functions that the service uses.
GRANT UPDATE ON exp.experiments TO guardrail_monitor;
GRANT INSERT ON exp.experiment_versions, exp.audit_log, exp.definition_outbox TO guardrail_monitor;
GRANT SELECT, INSERT, UPDATE ON exp.guardrail_actions TO guardrail_monitor;
GRANT SELECT, UPDATE ON exp.guardrail_lease, exp.outbox_relays TO guardrail_monitor;
GRANT SELECT ON exp.guardrail_actions, exp.guardrail_lease TO analyst, assignment_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON exp.guardrail_actions, exp.guardrail_lease TO operator;
