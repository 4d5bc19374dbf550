-- The guardrail monitor records results, and results leave out units that are in two experiments of one layer: it must see them.
GRANT SELECT ON exp.v_layer_conflicts TO guardrail_monitor;
