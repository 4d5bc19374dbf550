-- First exposures remember the assignment, so that results need no join of all units with all assignments.
ALTER TABLE exp.first_exposures ADD COLUMN assigned_variant_id uuid, ADD COLUMN assigned_at timestamptz;
COMMENT ON COLUMN exp.first_exposures.assigned_variant_id IS
  'The stored assignment, which never changes, as the aggregator found it; null: there was none yet, or the unit is erased. Read exp.v_exposed_units';
GRANT SELECT ON exp.assignments TO metrics_aggregator;

CREATE VIEW exp.v_exposed_units AS
SELECT experiment_id, unit_id, variant_id, first_exposed_at, assigned_variant_id, assigned_at
FROM exp.first_exposures WHERE assigned_variant_id IS NOT NULL
UNION ALL
SELECT f.experiment_id, f.unit_id, f.variant_id, f.first_exposed_at, a.variant_id, a.assigned_at
FROM exp.first_exposures f
LEFT JOIN exp.assignments a ON a.experiment_id = f.experiment_id AND a.unit_id = f.unit_id
WHERE f.assigned_variant_id IS NULL;
COMMENT ON VIEW exp.v_exposed_units IS 'Every exposed unit with its stored assignment, where there is one';
GRANT SELECT ON exp.v_exposed_units TO analyst, assignment_service, operator;
