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

-- A row belongs to whatever arrives first, the plan or a reaction to it: everything but the key may be missing.
CREATE TABLE exp.training_rows (
  plan_id uuid PRIMARY KEY,
  model_name text NOT NULL,
  household_id text,
  experiments jsonb,
  policy_version_id uuid,
  policy jsonb,
  generated_event_id uuid,
  generated_at timestamptz,
  generated_partition integer,
  generated_offset bigint,
  requested_at timestamptz,
  request jsonb,
  plan jsonb,
  action_propensities jsonb,
  reaction_event_id uuid,
  reaction text CHECK (reaction IN ('accepted', 'edited')),
  reacted_at timestamptz,
  reaction_partition integer,
  reaction_offset bigint,
  final_plan jsonb,
  edited_slots jsonb,
  updated_at timestamptz NOT NULL DEFAULT now(),
  CHECK (num_nulls(household_id, experiments, policy, generated_event_id, generated_at, generated_partition,
    generated_offset, requested_at, request, plan, action_propensities) IN (0, 11)),
  CHECK (num_nulls(reaction_event_id, reaction, reacted_at, reaction_partition, reaction_offset, final_plan,
    edited_slots) IN (0, 7))
);
COMMENT ON TABLE exp.training_rows IS 'One row per plan: its earliest plan_generated and its latest reaction, in whichever order they arrive';
COMMENT ON COLUMN exp.training_rows.action_propensities IS 'How each slot was filled, with the probability of every candidate';
COMMENT ON COLUMN exp.training_rows.policy_version_id IS 'From the configuration of the variant that the plan_generated names; null where it has none';
CREATE INDEX training_rows_by_time ON exp.training_rows (generated_at) WHERE request IS NOT NULL;

-- Every reaction, because a dataset takes the latest before its label cut-off, which need not be the latest of all.
CREATE TABLE exp.plan_reactions (
  plan_id uuid NOT NULL REFERENCES exp.training_rows (plan_id) ON DELETE CASCADE,
  reacted_at timestamptz NOT NULL,
  event_id uuid NOT NULL,
  reaction text NOT NULL CHECK (reaction IN ('accepted', 'edited')),
  final_plan jsonb NOT NULL,
  edited_slots jsonb NOT NULL,
  kafka_partition integer NOT NULL,
  kafka_offset bigint NOT NULL,
  PRIMARY KEY (plan_id, reacted_at, event_id)
);

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
