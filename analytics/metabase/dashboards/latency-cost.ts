// Dashboard "Latency & Cost Analyses": how fast and how dear each variant and policy version is.
import { cardsOf } from '../card.ts';
import { commonFilters } from '../filters.ts';
import type { CardSpec, DashboardSpec } from '../spec.ts';

const folder = 'latency-cost';
const card = cardsOf(folder);

const percentile = (name: 'p50' | 'p90' | 'p99', title: string): CardSpec => ({
  ...card(`latency-${name}`, title, 'Of all plans of the day, within 1 %, from the percentile sketch', {
    display: 'line',
    dimensions: ['day', 'variant_label'],
    metrics: ['latency_ms'],
    axis: 'Latency, ms',
    format: 'ms',
  }),
  sql: `${folder}/latency-by-day`,
  constants: { percentile: name },
});

export const latencyCost: DashboardSpec = {
  key: `dashboard/${folder}`,
  name: 'Latency & Cost Analyses',
  description: 'How fast and how dear each variant and policy version is, by day and by hour of the day',
  introduction:
    '**What does quality cost, in time and in money?** From aggregates, so it is fast however many events there are. A plan of a household that is in two experiments counts in both: choose one experiment for totals.',
  filters: commonFilters,
  rows: [
    {
      height: 3,
      cards: [
        {
          width: 8,
          card: card('plans', 'Plans', 'Plans with a latency in the chosen days', {
            display: 'scalar',
            field: 'plans',
          }),
        },
        {
          width: 8,
          card: card('mean-latency', 'Mean latency', 'Mean time until a plan is there', {
            display: 'scalar',
            field: 'latency_ms',
            format: 'ms',
          }),
        },
        {
          width: 8,
          card: card('total-cost', 'Total cost', 'Cost of all plans of the chosen days', {
            display: 'scalar',
            field: 'cost_usd',
            format: 'usd',
          }),
        },
      ],
    },
    {
      height: 7,
      cards: [
        { width: 8, card: percentile('p50', 'Median latency') },
        { width: 8, card: percentile('p90', 'Latency, 90th percentile') },
        { width: 8, card: percentile('p99', 'Latency, 99th percentile') },
      ],
    },
    {
      height: 7,
      cards: [
        {
          width: 12,
          card: card('cost-by-day', 'Cost by day', 'Cost of all plans of the day', {
            display: 'bar',
            dimensions: ['day', 'variant_label'],
            metrics: ['cost_usd'],
            isStacked: true,
            axis: 'Cost, USD',
            format: 'usd',
          }),
        },
        {
          width: 12,
          card: card('cost-per-plan', 'Cost per plan', 'Mean cost of a plan of the day', {
            display: 'line',
            dimensions: ['day', 'variant_label'],
            metrics: ['cost_usd'],
            axis: 'Cost per plan, USD',
            format: 'usd',
          }),
        },
      ],
    },
    {
      height: 7,
      cards: [
        {
          width: 24,
          card: card('latency-by-hour', 'Latency by hour of the day', 'Mean over all chosen days, hours in UTC', {
            display: 'line',
            dimensions: ['hour_of_day', 'variant_label'],
            metrics: ['latency_ms'],
            axis: 'Latency, ms',
            format: 'ms',
          }),
        },
      ],
    },
    {
      height: 4,
      cards: [
        {
          width: 24,
          card: card('summary', 'Latency and cost by variant', 'Over all chosen days', {
            display: 'table',
            columns: {
              variant_label: 'Experiment / variant',
              policy_version_name: 'Policy version',
              plans: 'Plans',
              latency_ms_mean: 'Mean latency, ms',
              worst_latency_ms_p99: '99th percentile of the worst day, ms',
              cost_usd: 'Cost',
              cost_usd_per_plan: 'Cost per plan',
              cost_usd_per_accepted_plan: 'Cost per accepted plan',
            },
            formats: {
              latency_ms_mean: 'ms',
              worst_latency_ms_p99: 'ms',
              cost_usd: 'usd',
              cost_usd_per_plan: 'usd',
              cost_usd_per_accepted_plan: 'usd',
            },
          }),
        },
      ],
    },
  ],
};
