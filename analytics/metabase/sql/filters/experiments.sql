SELECT DISTINCT key AS experiment_key
FROM exp.experiments
ORDER BY experiment_key
