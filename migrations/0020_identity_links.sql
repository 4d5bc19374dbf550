-- Two identities of one unit: links made at login, variants inherited through them, and the units that results leave out.
CREATE TABLE exp.unit_links (
  unit_type text NOT NULL,
  unit_id text NOT NULL CHECK (unit_id <> ''),
  anonymous_unit_id text NOT NULL CHECK (anonymous_unit_id <> ''),
  linked_at timestamptz NOT NULL DEFAULT now(),
  linked_by text NOT NULL,
  PRIMARY KEY (unit_type, unit_id, anonymous_unit_id),
  CHECK (unit_id <> anonymous_unit_id)
);
COMMENT ON TABLE exp.unit_links IS 'Which anonymous unit turned out to be which logged-in unit, as services report it';
CREATE INDEX unit_links_by_anonymous_unit ON exp.unit_links (unit_type, anonymous_unit_id);

ALTER TABLE exp.assignments DROP CONSTRAINT assignments_source_check;
ALTER TABLE exp.assignments
  ADD CONSTRAINT assignments_source_check CHECK (source IN ('hashed', 'forced', 'imported', 'inherited'));
CREATE INDEX assignments_forced ON exp.assignments (experiment_id, unit_id) WHERE source = 'forced';

CREATE TABLE exp.excluded_units (
  experiment_id uuid NOT NULL REFERENCES exp.experiments (id),
  unit_id text NOT NULL,
  reason text NOT NULL CHECK (reason IN ('identity-conflict', 'forced')),
  excluded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (experiment_id, unit_id, reason)
);
COMMENT ON TABLE exp.excluded_units IS 'Units that results leave out for a reason that no other table keeps';

-- What every analysis must leave out, and what it reports as left out.
CREATE VIEW exp.v_excluded_units AS
SELECT experiment_id, unit_id, reason FROM exp.excluded_units
UNION
SELECT experiment_id, unit_id, 'forced' FROM exp.assignments WHERE source = 'forced'
UNION
SELECT experiment_id, unit_id, 'met-two-variants' FROM exp.first_exposures
GROUP BY experiment_id, unit_id HAVING count(*) > 1;

GRANT SELECT, INSERT ON exp.unit_links, exp.excluded_units TO assignment_service;
GRANT SELECT ON exp.excluded_units, exp.v_excluded_units TO analyst;
GRANT SELECT, INSERT, UPDATE, DELETE ON exp.unit_links, exp.excluded_units TO operator;
GRANT SELECT ON exp.v_excluded_units TO operator;
