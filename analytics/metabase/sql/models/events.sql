SELECT event_date, event_time, created_at, event_type, unit_type, unit_id, event_id, producer, metrics, context, experiments
FROM exp.events
