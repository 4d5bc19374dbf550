// Dashboard "Experiment Overview": what runs, is the split sound, is a guardrail broken, what is to be done.
import { cardsOf } from '../card.ts';
import { commonFilters } from '../filters.ts';
import type { DashboardSpec } from '../spec.ts';

const folder = 'experiment-overview';
const card = cardsOf(folder);

export const experimentOverview: DashboardSpec = {
  key: `dashboard/${folder}`,
  name: 'Experiment Overview',
  description:
    'Every experiment: is the split sound, is a guardrail broken, what does the primary metric say, what is to be done',
  introduction:
    '**Is the split sound, is a guardrail broken, what is to be done?** Results are those that the guardrail monitor recorded last in the chosen days. Days are UTC; an empty filter means all.',
  filters: commonFilters,
  rows: [
    {
      height: 3,
      cards: [
        {
          width: 6,
          card: card(
            'experiments',
            'Experiments that units met',
            'Experiments with at least one first exposure in the chosen days',
            { display: 'scalar', field: 'experiments' },
          ),
        },
        {
          width: 6,
          card: card('exposed-units', 'Units exposed', 'Units whose first exposure is in the chosen days', {
            display: 'scalar',
            field: 'units',
          }),
        },
        {
          width: 6,
          card: card(
            'broken-guardrails',
            'Broken guardrails',
            'Guardrail metrics of treatments that are proven to be worse than their bound',
            { display: 'scalar', field: 'broken' },
          ),
        },
        {
          width: 6,
          card: card(
            'decisions-due',
            'Treatments with a decision due',
            'Treatments whose status is anything else than "keep running"',
            { display: 'scalar', field: 'due' },
          ),
        },
      ],
    },
    {
      height: 5,
      cards: [
        {
          width: 24,
          card: card(
            'decisions',
            'What to do, and what the primary metric says',
            'One row per treatment: the effect on the primary metric with its interval, which is valid at every look',
            {
              display: 'table',
              columns: {
                variant_label: 'Experiment / treatment',
                status: 'Status',
                decision: 'Decision',
                metric_name: 'Primary metric',
                control_value: 'Control',
                treatment_value: 'Treatment',
                effect: 'Effect (interval)',
                chance_to_win: 'Chance to win',
                not_computable: 'Not computable',
                units: 'Units',
                excluded_units: 'Left out',
                recorded_at: 'Recorded at',
              },
              formats: {
                control_value: 'score',
                treatment_value: 'score',
                chance_to_win: 'percent',
              },
            },
          ),
        },
      ],
    },
    {
      height: 7,
      cards: [
        {
          width: 8,
          card: card(
            'units-by-variant',
            'Exposed units by variant',
            'Units whose first exposure is in the chosen days',
            { display: 'row', dimensions: ['variant_label'], metrics: ['units'], axis: 'Units' },
          ),
        },
        {
          width: 16,
          card: card(
            'exposures-by-day',
            'First exposures by day',
            'How many units met each variant for the first time',
            {
              display: 'bar',
              dimensions: ['day', 'variant_label'],
              metrics: ['units'],
              isStacked: true,
              axis: 'Units',
            },
          ),
        },
      ],
    },
    {
      height: 5,
      cards: [
        {
          width: 12,
          card: card(
            'sample-ratio',
            'Is the split as planned?',
            'Shares of exposed units beside the planned ones. The p-value is of the whole experiment and valid at every look; below 0.001 the results cannot be trusted',
            {
              display: 'table',
              columns: {
                variant_label: 'Experiment / variant',
                units: 'Units',
                planned_share: 'Planned',
                observed_share: 'Observed',
                sample_ratio_p_value: 'p-value',
                verdict: 'Split',
              },
              formats: { planned_share: 'percent', observed_share: 'percent', sample_ratio_p_value: 'score' },
            },
          ),
        },
        {
          width: 12,
          card: card(
            'guardrails',
            'Guardrails',
            'broken: proven to be worse than the bound; holds: proven not to be; open: not shown yet; unknown: too little data to say',
            {
              display: 'table',
              columns: {
                variant_label: 'Experiment / treatment',
                metric_name: 'Metric',
                guardrail: 'State',
                effect: 'Effect (interval)',
                recorded_at: 'Recorded at',
              },
            },
          ),
        },
      ],
    },
    {
      height: 5,
      cards: [
        {
          width: 24,
          card: card('changes', 'Changes of definitions', 'The latest 100 changes of the experiments: who, when, why', {
            display: 'table',
            columns: {
              experiment_label: 'Experiment',
              version: 'Version',
              changed_at: 'Changed at',
              changed_by: 'By',
              reason: 'Reason',
            },
          }),
        },
      ],
    },
  ],
};
