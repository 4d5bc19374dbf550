// Dashboard "Model Quality Over Time": what the plans of each policy version are like, day by day.
import { cardsOf } from '../card.ts';
import { commonFilters } from '../filters.ts';
import type { CardSpec, ColumnFormat, DashboardSpec } from '../spec.ts';

const folder = 'model-quality';
const card = cardsOf(folder);

type Quality = { metric: string; title: string; description: string; format: ColumnFormat; axis: string };
const byDay = ({ metric, title, description, format, axis }: Quality): CardSpec => ({
  key: `${folder}/${metric}-by-day`,
  name: title,
  description,
  sql: `${folder}/metric-by-day`,
  constants: { metric },
  chart: { display: 'line', dimensions: ['day', 'policy'], metrics: ['mean'], axis, format },
});

export const modelQuality: DashboardSpec = {
  key: `dashboard/${folder}`,
  name: 'Model Quality Over Time',
  description: 'What the plans of each policy version are like, day by day: accepted, edited, aligned, corrected',
  introduction:
    '**Is a model getting better or worse?** Lines are policy versions, over all events of a day; a variant that names no policy version stands for itself. A jump on one line only is the model; a jump on all of them is something else.',
  filters: commonFilters,
  rows: [
    {
      height: 4,
      cards: [
        {
          width: 24,
          card: card('model-versions', 'Quality by policy version', 'Means over all events of the chosen days', {
            display: 'table',
            columns: {
              policy: 'Policy version',
              model: 'Model',
              status: 'Status',
              plans: 'Plans',
              acceptance_rate: 'Accepted',
              edits_per_plan: 'Edits per plan',
              plan_alignment: 'Alignment',
              constraint_respect: 'Constraints respected',
              intervention_rate: 'Corrected by the validator',
            },
            formats: {
              acceptance_rate: 'percent',
              edits_per_plan: 'score',
              plan_alignment: 'score',
              constraint_respect: 'score',
              intervention_rate: 'percent',
            },
          }),
        },
      ],
    },
    {
      height: 7,
      cards: [
        {
          width: 12,
          card: byDay({
            metric: 'accepted',
            title: 'Acceptance rate',
            description: 'Share of the answered plans that were taken without an edit',
            format: 'percent',
            axis: 'Accepted',
          }),
        },
        {
          width: 12,
          card: byDay({
            metric: 'edits',
            title: 'Edits per answered plan',
            description: 'Edited slots per answered plan: fewer is better',
            format: 'score',
            axis: 'Edits',
          }),
        },
      ],
    },
    {
      height: 7,
      cards: [
        {
          width: 12,
          card: byDay({
            metric: 'plan_alignment_score',
            title: 'Plan alignment',
            description: 'Mean alignment of plans with what the household wants',
            format: 'score',
            axis: 'Alignment score',
          }),
        },
        {
          width: 12,
          card: byDay({
            metric: 'validator_intervention',
            title: 'Plans that the validator corrected',
            description: 'Share of the plans that broke a constraint before they were corrected: fewer is better',
            format: 'percent',
            axis: 'Corrected',
          }),
        },
      ],
    },
    {
      height: 6,
      cards: [
        {
          width: 24,
          card: card(
            'plans-by-day',
            'Plans by day',
            'How much traffic each policy version had: few plans make a noisy line above',
            {
              display: 'bar',
              dimensions: ['day', 'policy'],
              metrics: ['plans'],
              isStacked: true,
              axis: 'Plans',
            },
          ),
        },
      ],
    },
  ],
};
