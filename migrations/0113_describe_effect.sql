-- An effect with its interval as a person reads it, for tables of dashboards.
CREATE FUNCTION exp.describe_effect(estimate double precision, lower double precision, upper double precision, scale text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
  SELECT CASE WHEN estimate IS NULL THEN '' ELSE format('%s (%s to %s)', min(shown) FILTER (WHERE place = 1),
    min(shown) FILTER (WHERE place = 2), min(shown) FILTER (WHERE place = 3)) END
  FROM (
    SELECT place, CASE
      WHEN value IS NULL THEN '?'
      WHEN value IN ('Infinity', '-Infinity') THEN CASE WHEN value > 0 THEN '+∞' ELSE '-∞' END
      WHEN scale = 'relative' THEN to_char(100 * value, 'FMSG999999990.0') || ' %'
      ELSE to_char(value, 'FMSG999999990.0000')
    END AS shown
    FROM (VALUES (1, estimate), (2, lower), (3, upper)) AS v (place, value)
  ) AS texts
);
COMMENT ON FUNCTION exp.describe_effect IS
  'Such as "+21.7 % (-61.8 % to +105.1 %)" for a relative effect; no effect is an empty text';
