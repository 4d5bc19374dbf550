SELECT DISTINCT name AS variant_name
FROM exp.variants
ORDER BY variant_name
