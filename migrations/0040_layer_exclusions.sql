-- Units that got into two experiments of one layer through rows that no hash decided are left out of the results of both.
CREATE INDEX assignments_not_hashed ON exp.assignments (experiment_id, unit_id) WHERE source IN ('inherited', 'imported');

CREATE OR REPLACE VIEW exp.v_excluded_units AS
SELECT experiment_id, unit_id, reason FROM exp.excluded_units
UNION
SELECT experiment_id, unit_id, 'forced' FROM exp.assignments WHERE source = 'forced'
UNION
SELECT experiment_id, unit_id, 'met-two-variants' FROM exp.first_exposures
GROUP BY experiment_id, unit_id HAVING count(*) > 1
UNION
-- Experiments that had the same range one after the other have shared no unit at a time.
SELECT shared.experiment_id, odd.unit_id, 'in-two-experiments-of-a-layer'
FROM exp.experiments x
JOIN exp.assignments odd ON odd.experiment_id = x.id AND odd.source IN ('inherited', 'imported')
JOIN exp.experiments y ON y.layer ->> 'layer_id' = x.layer ->> 'layer_id' AND y.key <> x.key
  AND ((y.layer ->> 'end')::integer <= (x.layer ->> 'start')::integer OR (y.layer ->> 'start')::integer >= (x.layer ->> 'end')::integer)
JOIN exp.assignments other ON other.experiment_id = y.id AND other.unit_id = odd.unit_id AND other.unit_type = odd.unit_type
  AND other.source <> 'forced'
CROSS JOIN LATERAL (VALUES (x.id), (y.id)) AS shared (experiment_id);
