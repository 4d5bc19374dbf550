-- The planner's domain tables (temporal), the training rows paired from events, and the datasets frozen from them.
CREATE TABLE exp.households (
  household_id text NOT NULL,
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,
  members integer NOT NULL CHECK (members > 0),
  attributes jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (household_id, valid_from),
  CHECK (valid_to IS NULL OR valid_from < valid_to)
);
CREATE TABLE exp.pantry_items (
  household_id text NOT NULL,
  item text NOT NULL,
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,
  quantity double precision,
  unit text,
  PRIMARY KEY (household_id, item, valid_from),
  CHECK (valid_to IS NULL OR valid_from < valid_to)
);
CREATE TABLE exp.constraints (
  household_id text NOT NULL,
  kind text NOT NULL,
  value text NOT NULL,
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,
  PRIMARY KEY (household_id, kind, value, valid_from),
  CHECK (valid_to IS NULL OR valid_from < valid_to)
);
CREATE TABLE exp.recipes (
  recipe_id text NOT NULL,
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,
  title text NOT NULL,
  details jsonb NOT NULL,
  PRIMARY KEY (recipe_id, valid_from),
  CHECK (valid_to IS NULL OR valid_from < valid_to)
);
CREATE TABLE exp.plans (
  plan_id uuid NOT NULL,
  household_id text NOT NULL,
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,
  status text NOT NULL CHECK (status IN ('generated', 'accepted', 'edited')),
  plan jsonb NOT NULL,
  PRIMARY KEY (plan_id, valid_from),
  CHECK (valid_to IS NULL OR valid_from < valid_to)
);

CREATE TABLE exp.training_rows (
  plan_id uuid PRIMARY KEY,
  model_name text,
  household_id text,
  experiments jsonb,
  policy_version_id uuid,
  generated_event_id uuid,
  generated_at timestamptz,
  generated_partition integer,
  generated_offset bigint,
  request jsonb,
  plan jsonb,
  action_propensities jsonb,
  enrichment jsonb,
  reaction_event_id uuid,
  reaction text CHECK (reaction IN ('accepted', 'edited')),
  reacted_at timestamptz,
  reaction_partition integer,
  reaction_offset bigint,
  final_plan jsonb,
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE exp.training_rows IS 'One row per plan, filled by its plan_generated and its reaction in whichever order they arrive';
CREATE INDEX training_rows_by_time ON exp.training_rows (generated_at) WHERE request IS NOT NULL;

CREATE TABLE exp.dataset_versions (
  dataset_version text PRIMARY KEY,
  model_name text NOT NULL,
  build_date date NOT NULL,
  object_key text NOT NULL UNIQUE,
  manifest jsonb NOT NULL,
  row_count bigint NOT NULL,
  label_cutoff timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN exp.dataset_versions.dataset_version IS 'Content hash of the dataset';

CREATE TABLE exp.offline_replay_results (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  model_name text NOT NULL,
  model_version text NOT NULL,
  dataset_version text NOT NULL REFERENCES exp.dataset_versions (dataset_version),
  baseline_model_version text,
  metrics jsonb NOT NULL,
  verdict text NOT NULL CHECK (verdict IN ('pass', 'fail', 'inconclusive')),
  reasons jsonb NOT NULL DEFAULT '[]',
  object_key text,
  mlflow_run_id text,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (model_name, model_version, dataset_version, baseline_model_version)
);

CREATE TABLE exp.promotions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL,
  action text NOT NULL,
  policy_version_id uuid REFERENCES exp.policy_versions (id),
  experiment_id uuid REFERENCES exp.experiments (id),
  from_state jsonb NOT NULL,
  to_state jsonb NOT NULL,
  evidence jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE exp.promotions IS 'Append-only ledger of every step between candidate and production';
