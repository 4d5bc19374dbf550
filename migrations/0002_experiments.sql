-- Definitions, the policies their variants point at, and the assignments that follow from them.
CREATE TABLE exp.policies (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE,
  description text,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE exp.policy_versions (
  id uuid PRIMARY KEY,
  policy_id uuid NOT NULL REFERENCES exp.policies (id),
  version integer NOT NULL CHECK (version > 0),
  mlflow_model_name text NOT NULL,
  mlflow_model_version text NOT NULL,
  config_defaults jsonb NOT NULL DEFAULT '{}',
  status text NOT NULL DEFAULT 'candidate' CHECK (status IN ('candidate', 'production', 'retired')),
  created_at timestamptz NOT NULL DEFAULT now(),
  first_production_at timestamptz,
  UNIQUE (policy_id, version)
);
COMMENT ON COLUMN exp.policy_versions.first_production_at IS 'When it first served all traffic; null means it must start at no more than 10 % of traffic';

CREATE TABLE exp.experiments (
  id uuid PRIMARY KEY,
  key text NOT NULL,
  name text NOT NULL,
  iteration integer NOT NULL DEFAULT 1 CHECK (iteration > 0),
  version integer NOT NULL DEFAULT 1 CHECK (version > 0),
  status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'running', 'paused', 'completed', 'archived')),
  serving text NOT NULL DEFAULT 'as_assigned' CHECK (serving IN ('as_assigned', 'all_to', 'off')),
  serving_variant_id uuid,
  unit_type text NOT NULL,
  coverage integer NOT NULL DEFAULT 10000 CHECK (coverage BETWEEN 0 AND 10000),
  exposure text NOT NULL DEFAULT 'explicit' CHECK (exposure IN ('explicit', 'implicit')),
  hypothesis text,
  owner text,
  starts_at timestamptz,
  ends_at timestamptz,
  targeting jsonb,
  layer jsonb,
  holdout jsonb,
  metrics jsonb NOT NULL DEFAULT '{}',
  ramp jsonb,
  forced_variants jsonb NOT NULL DEFAULT '{}',
  store_required boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (key, iteration),
  CHECK ((serving = 'all_to') = (serving_variant_id IS NOT NULL)),
  CHECK (ends_at IS NULL OR starts_at IS NULL OR starts_at < ends_at)
);
COMMENT ON COLUMN exp.experiments.coverage IS 'Share of the allocated hash space that is enrolled, in basis points (10000 = all)';
COMMENT ON COLUMN exp.experiments.version IS 'Audited edit under the same randomization';
COMMENT ON COLUMN exp.experiments.forced_variants IS 'Variant id by unit id, for named test units; they are excluded from results';
COMMENT ON COLUMN exp.experiments.iteration IS 'Restart with a new id and a new randomization';

CREATE TABLE exp.experiment_versions (
  experiment_id uuid NOT NULL REFERENCES exp.experiments (id),
  version integer NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now(),
  changed_by text NOT NULL,
  reason text NOT NULL,
  diff jsonb NOT NULL,
  definition jsonb NOT NULL,
  PRIMARY KEY (experiment_id, version)
);

CREATE TABLE exp.variants (
  id uuid PRIMARY KEY,
  experiment_id uuid NOT NULL REFERENCES exp.experiments (id),
  name text NOT NULL,
  allocation integer NOT NULL CHECK (allocation BETWEEN 0 AND 10000),
  config jsonb NOT NULL DEFAULT '{}',
  is_control boolean NOT NULL DEFAULT false,
  position integer NOT NULL CHECK (position >= 0),
  UNIQUE (experiment_id, name),
  UNIQUE (experiment_id, position),
  UNIQUE (experiment_id, id)
);
COMMENT ON COLUMN exp.variants.allocation IS 'Share of enrolled units, in basis points; the sum over an experiment is at most 10000';
CREATE UNIQUE INDEX variants_one_control ON exp.variants (experiment_id) WHERE is_control;

CREATE TABLE exp.assignments (
  experiment_id uuid NOT NULL,
  unit_id text NOT NULL CHECK (unit_id <> ''),
  unit_type text NOT NULL,
  variant_id uuid NOT NULL,
  hash_bucket smallint NOT NULL CHECK (hash_bucket BETWEEN 0 AND 9999),
  experiment_version integer NOT NULL,
  probability double precision NOT NULL CHECK (probability >= 0 AND probability <= 1),
  enrolment_share double precision NOT NULL CHECK (enrolment_share >= 0 AND enrolment_share <= 1),
  source text NOT NULL CHECK (source IN ('hashed', 'forced', 'imported')),
  assigned_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (experiment_id, unit_id),
  FOREIGN KEY (experiment_id, variant_id) REFERENCES exp.variants (experiment_id, id)
);
COMMENT ON TABLE exp.assignments IS 'First writer wins; rows are never updated, and deleted only when a unit is erased';
CREATE INDEX assignments_by_unit ON exp.assignments (unit_id, unit_type);

-- What the compacted topic still has to be told. Rows carry the key only; the relay reads the assignment when it publishes.
CREATE TABLE exp.assignment_outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  experiment_id uuid NOT NULL,
  unit_id text NOT NULL,
  kind text NOT NULL DEFAULT 'assignment' CHECK (kind IN ('assignment', 'tombstone')),
  created_at timestamptz NOT NULL DEFAULT now(),
  published_at timestamptz
);
COMMENT ON COLUMN exp.assignment_outbox.id IS 'The revision of the published record: grows with every change of one assignment';
CREATE INDEX assignment_outbox_unpublished ON exp.assignment_outbox (id) WHERE published_at IS NULL;

-- Only one relay publishes at a time; the epoch fences one that lost its lock without noticing.
CREATE TABLE exp.outbox_relays (
  relay text PRIMARY KEY,
  epoch bigint NOT NULL DEFAULT 0,
  owner text,
  updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO exp.outbox_relays (relay) VALUES ('assignments'), ('definitions');

CREATE TABLE exp.definition_outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  experiment_id uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  published_at timestamptz
);
CREATE INDEX definition_outbox_unpublished ON exp.definition_outbox (id) WHERE published_at IS NULL;

CREATE TABLE exp.erasures (
  unit_hash bytea PRIMARY KEY,
  pseudonym text NOT NULL UNIQUE,
  erased_at timestamptz NOT NULL DEFAULT now(),
  requested_by text NOT NULL
);
COMMENT ON COLUMN exp.erasures.unit_hash IS 'Keyed hash (HMAC-SHA-256) of unit_type:unit_id, so that this table does not hold the erased id';
