// Dashboard "Variant Performance Comparison": every metric of every treatment beside control.
import { cardsOf } from '../card.ts';
import { commonFilters, metricFilter } from '../filters.ts';
import type { DashboardSpec } from '../spec.ts';

const folder = 'variant-performance';
const card = cardsOf(folder);

export const variantPerformance: DashboardSpec = {
  key: `dashboard/${folder}`,
  name: 'Variant Performance Comparison',
  description:
    'Every metric of every treatment beside control, with intervals; one metric of events over time and by unit',
  introduction:
    '**How does each treatment do against control?** The first table holds the recorded results, per unit and valid at every look. The charts below show one metric of events, which the filter "Metric of events" chooses; they describe and do not test.',
  filters: [...commonFilters, metricFilter],
  rows: [
    {
      height: 8,
      cards: [
        {
          width: 24,
          card: card(
            'effects',
            'Effects on all metrics',
            'The latest recorded result of each treatment and metric, with its interval, guardrail and verdict',
            {
              display: 'table',
              columns: {
                variant_label: 'Experiment / treatment',
                metric_name: 'Metric',
                roles: 'Role',
                control_value: 'Control',
                treatment_value: 'Treatment',
                effect: 'Effect (interval)',
                p_value: 'p-value',
                chance_to_win: 'Chance to win',
                verdict: 'Verdict',
                guardrail: 'Guardrail',
                recorded_at: 'Recorded at',
              },
              formats: {
                control_value: 'score',
                treatment_value: 'score',
                p_value: 'score',
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
            'metric-by-variant',
            'The metric by variant',
            'Mean of the chosen metric over all events of the chosen days',
            { display: 'row', dimensions: ['variant_label'], metrics: ['mean'], axis: 'Mean', format: 'score' },
          ),
        },
        {
          width: 16,
          card: card('metric-by-day', 'The metric by day', 'Mean of the chosen metric over the events of each day', {
            display: 'line',
            dimensions: ['day', 'variant_label'],
            metrics: ['mean'],
            axis: 'Mean',
            format: 'score',
          }),
        },
      ],
    },
    {
      height: 7,
      cards: [
        {
          width: 12,
          card: card(
            'difference-by-day',
            'Difference to control so far',
            'Mean of the chosen metric from the first chosen day on, treatment minus control: it settles as events come in',
            {
              display: 'line',
              dimensions: ['day', 'variant_label'],
              metrics: ['difference'],
              axis: 'Difference of means',
              format: 'score',
            },
          ),
        },
        {
          width: 12,
          card: card(
            'unit-spread',
            'How units spread',
            'Exposed units by their own mean of the chosen metric: what an average hides',
            {
              display: 'bar',
              dimensions: ['middle', 'variant_label'],
              metrics: ['units'],
              axis: 'Units',
            },
          ),
        },
      ],
    },
    {
      height: 9,
      cards: [
        {
          width: 24,
          card: card(
            'summary',
            'All metrics of events by variant',
            'Count, mean and range over all events of the chosen days',
            {
              display: 'table',
              columns: {
                variant_label: 'Experiment / variant',
                metric_name: 'Metric of events',
                count: 'Events',
                mean: 'Mean',
                min: 'Smallest',
                max: 'Largest',
              },
              formats: { mean: 'score', min: 'score', max: 'score' },
            },
          ),
        },
      ],
    },
  ],
};
