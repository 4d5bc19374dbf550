// The experiment that the planner traffic takes part in.

import type { ExperimentDefinition } from '../workload-client/workload-port.ts';

export const plannerExperiment: ExperimentDefinition = {
  key: 'planner-policy',
  name: 'Planner policy',
  iteration: 1,
  unit_type: 'household',
  exposure: 'explicit',
  hypothesis: 'The candidate planner makes plans that more households accept without an edit',
  owner: 'planner-traffic',
  coverage: 1,
  metrics: {
    primary: 'acceptance_rate',
    secondary: ['edits_per_plan', 'plan_alignment', 'latency_p90', 'cost_per_household', 'second_week_retention'],
    guardrails: [{ metric: 'latency' }, { metric: 'cost_per_plan' }, { metric: 'intervention_rate' }],
  },
  variants: [
    { name: 'control', allocation: 0.5, is_control: true, config: { params: { planner: 'rule-based' } } },
    { name: 'candidate', allocation: 0.5, is_control: false, config: { params: { planner: 'rule-based' } } },
  ],
};
