-- Metrics of experiments by name, and how each experiment's results are computed and decided.
CREATE TABLE exp.metric_definitions (
  name text PRIMARY KEY,
  definition jsonb NOT NULL,
  version integer NOT NULL DEFAULT 1 CHECK (version > 0),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CHECK (definition ->> 'name' = name)
);
COMMENT ON TABLE exp.metric_definitions IS 'What the metrics of experiments mean, as in the YAML; a metric that is not here is the average of the event metric of its name';

ALTER TABLE exp.experiments ADD COLUMN analysis jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN exp.experiments.analysis IS 'Test, error rates, planned size, covariate, segments; what is absent has its default';

-- The metrics of the two workloads, as in config/metrics.yml.
INSERT INTO exp.metric_definitions (name, definition)
SELECT d ->> 'name', d FROM jsonb_array_elements($json$[
  {"name": "acceptance_rate", "description": "Share of the answered plans that a household takes without an edit", "kind": "ratio",
   "numerator": "accepted", "denominator": {"metric": "accepted", "take": "count"}, "minimum_effect": 0.05},
  {"name": "edits_per_plan", "description": "Edited slots per answered plan", "kind": "ratio", "numerator": "edits",
   "denominator": {"metric": "edits", "take": "count"}, "better": "decrease"},
  {"name": "intervention_rate", "description": "Share of the plans that the validator had to change", "kind": "ratio",
   "numerator": "validator_intervention", "denominator": {"metric": "validator_intervention", "take": "count"},
   "better": "decrease", "scale": "absolute", "guardrail_bound": 0.02},
  {"name": "latency", "description": "Mean time until a plan is there", "unit": "ms", "kind": "ratio", "numerator": "latency_ms",
   "denominator": {"metric": "latency_ms", "take": "count"}, "better": "decrease", "guardrail_bound": 0.2},
  {"name": "latency_p50", "unit": "ms", "kind": "quantile", "of": "latency_ms", "level": 0.5, "better": "decrease"},
  {"name": "latency_p90", "unit": "ms", "kind": "quantile", "of": "latency_ms", "level": 0.9, "better": "decrease"},
  {"name": "latency_p99", "unit": "ms", "kind": "quantile", "of": "latency_ms", "level": 0.99, "better": "decrease"},
  {"name": "cost_per_plan", "description": "Mean cost of making a plan", "unit": "USD", "kind": "ratio", "numerator": "cost_usd",
   "denominator": {"metric": "cost_usd", "take": "count"}, "better": "decrease", "guardrail_bound": 0.2},
  {"name": "cost_per_household", "description": "Cost of all plans of a household; the dearest one percent count as its limit",
   "unit": "USD", "kind": "sum", "of": "cost_usd", "cap": {"quantile": 0.99}, "better": "decrease"},
  {"name": "plan_alignment", "description": "Mean alignment of plans with what the household wants", "kind": "ratio",
   "numerator": "plan_alignment_score", "denominator": {"metric": "plan_alignment_score", "take": "count"}},
  {"name": "accepted_within_a_week", "description": "Share of the households that accept a plan in the week after their first",
   "kind": "conversion", "event_type": "plan_accepted", "within": "7d"},
  {"name": "second_week_retention", "description": "Share of the households that ask for a plan in their second week",
   "kind": "conversion", "event_type": "plan_generated", "from": "7d", "within": "14d"},
  {"name": "click_rate", "description": "Share of the impressions that are clicked", "kind": "proportion", "of": "click"}
]$json$::jsonb) AS d;

GRANT SELECT ON exp.metric_definitions TO analyst, assignment_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON exp.metric_definitions TO operator;

-- Events that contradict an assignment are few: results count them by this index and not by reading all events.
CREATE INDEX events_mismatched ON exp.events USING gin (mismatched_experiment_ids) WHERE mismatched_experiment_ids IS NOT NULL;
-- The service reads results with the rights of an analyst on what they are computed from.
GRANT SELECT ON exp.unit_metrics, exp.unit_daily_metrics, exp.first_exposures, exp.excluded_units, exp.events TO assignment_service;
