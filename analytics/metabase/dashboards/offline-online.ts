// Dashboard "Offline vs Online Evaluation Trends": does a model do in traffic what its replay promised?
import { cardsOf } from '../card.ts';
import { commonFilters } from '../filters.ts';
import type { DashboardSpec } from '../spec.ts';

const folder = 'offline-online';
const card = cardsOf(folder);

export const offlineOnline: DashboardSpec = {
  key: `dashboard/${folder}`,
  name: 'Offline vs Online Evaluation Trends',
  description: 'What the replays of models promised, beside what their policy versions showed in traffic',
  introduction:
    '**Does a model do in traffic what its replay promised?** "Promised" is the acceptance rate of a replay on recorded requests, "measured" the one of real answers. The days choose replays by when they ran, and traffic by when it happened.',
  filters: commonFilters,
  rows: [
    {
      height: 4,
      cards: [
        {
          width: 24,
          card: card(
            'promise-and-outcome',
            'Promise and outcome',
            'One row per replay and treatment: promised and measured acceptance rate, and the effect against control',
            {
              display: 'table',
              columns: {
                model: 'Model',
                policy_version_name: 'Policy version',
                variant_label: 'Experiment / treatment',
                verdict: 'Verdict of the replay',
                promised: 'Promised',
                measured: 'Measured',
                gap: 'Measured - promised',
                control_value: 'Control',
                effect: 'Effect (interval)',
                replayed_at: 'Replayed at',
              },
              formats: {
                promised: 'percent',
                measured: 'percent',
                gap: 'signed-percent',
                control_value: 'percent',
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
          width: 16,
          card: card(
            'acceptance-trend',
            'Acceptance rate: measured by day, promised by the latest replay',
            'Measured over the answered plans of each day; the promise is that of the latest replay of the model',
            {
              display: 'line',
              dimensions: ['day', 'series'],
              metrics: ['acceptance_rate'],
              axis: 'Acceptance rate',
              format: 'percent',
            },
          ),
        },
        {
          width: 8,
          card: card(
            'promised-and-measured',
            'Promised and measured',
            'Acceptance rate by policy version: of the latest replay, and of all answered plans of the chosen days',
            {
              display: 'bar',
              dimensions: ['policy_version_name'],
              metrics: ['promised', 'measured'],
              axis: 'Acceptance rate',
              format: 'percent',
            },
          ),
        },
      ],
    },
    {
      height: 7,
      cards: [
        {
          width: 16,
          card: card(
            'replay-scores',
            'Scores of replays by day',
            'Mean of each score over the replays of a day; the versions of a model follow each other on its lines',
            {
              display: 'line',
              dimensions: ['day', 'series'],
              metrics: ['score'],
              axis: 'Score',
              format: 'score',
            },
          ),
        },
        {
          width: 8,
          card: card('verdicts', 'Verdicts of the gate', 'Replays by model version and verdict', {
            display: 'bar',
            dimensions: ['model', 'verdict'],
            metrics: ['replays'],
            isStacked: true,
            axis: 'Replays',
          }),
        },
      ],
    },
    {
      height: 5,
      cards: [
        {
          width: 24,
          card: card('replays', 'Replays', 'The latest 100 replays and the reasons of the gate', {
            display: 'table',
            columns: {
              replayed_at: 'Replayed at',
              model: 'Model',
              baseline: 'Baseline version',
              dataset_version: 'Dataset',
              verdict: 'Verdict',
              reasons: 'Reasons',
            },
          }),
        },
      ],
    },
  ],
};
