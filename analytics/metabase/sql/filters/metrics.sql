SELECT DISTINCT metric_name
FROM exp.metric_aggregates
WHERE granularity = 'day'
ORDER BY metric_name
