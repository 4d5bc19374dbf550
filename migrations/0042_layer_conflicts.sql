-- The units that are in two experiments of one layer, for results to read without the other reasons to leave a unit out.
CREATE VIEW exp.v_layer_conflicts AS
SELECT DISTINCT shared.experiment_id, odd.unit_id
FROM exp.experiments x
JOIN exp.assignments odd ON odd.experiment_id = x.id AND odd.source IN ('inherited', 'imported')
-- Experiments that had the same range one after the other have shared no unit at a time.
JOIN exp.experiments y ON y.layer ->> 'layer_id' = x.layer ->> 'layer_id' AND y.key <> x.key
  AND ((y.layer ->> 'end')::integer <= (x.layer ->> 'start')::integer OR (y.layer ->> 'start')::integer >= (x.layer ->> 'end')::integer)
JOIN exp.assignments other ON other.experiment_id = y.id AND other.unit_id = odd.unit_id AND other.unit_type = odd.unit_type
  AND other.source <> 'forced'
CROSS JOIN LATERAL (VALUES (x.id), (y.id)) AS shared (experiment_id);
GRANT SELECT ON exp.v_layer_conflicts TO assignment_service, analyst, operator;

CREATE OR REPLACE VIEW exp.v_excluded_units AS
SELECT experiment_id, unit_id, reason FROM exp.excluded_units
UNION
SELECT experiment_id, unit_id, 'forced' FROM exp.assignments WHERE source = 'forced'
UNION
SELECT experiment_id, unit_id, 'met-two-variants' FROM exp.first_exposures
GROUP BY experiment_id, unit_id HAVING count(*) > 1
UNION
SELECT experiment_id, unit_id, 'in-two-experiments-of-a-layer' FROM exp.v_layer_conflicts;
