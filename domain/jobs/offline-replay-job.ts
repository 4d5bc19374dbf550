// The job that judges a model version on the test split of a dataset and lets the gate decide.
import type { JobKind } from './job-kind.ts';
import { numberParameter, textParameter } from './job-parameters.ts';

const settingNames = {
  model: 'REPLAY_MODEL',
  dataset: 'REPLAY_DATASET',
  baseline: 'REPLAY_BASELINE',
  seed: 'REPLAY_SEED',
} as const;

export const offlineReplayJob: JobKind = {
  name: 'offline-replay',
  title: 'plan the test split of a dataset again with a model and a baseline; the same replay has one result',
  parameters: {
    model: textParameter('a registered model version such as planner_model/3', { required: true }),
    dataset: textParameter('a dataset version (64 hex digits)', { required: true }),
    baseline: textParameter('a registered model version (default: the rule-based planner of the release)'),
    seed: numberParameter('seed of draws and resamples (default: 1)', { min: 0, max: 2 ** 31 - 1, integer: true }),
  },
  defaults: () => ({}),
  attempts: 3,
  program: ({ parameters }) => ({
    // Not the worker itself: a checkout installs the packages of training first.
    entry: 'infra/system/offline-replay.ts',
    args: [],
    settings: Object.fromEntries(
      Object.entries(settingNames).flatMap(([name, setting]) =>
        parameters[name] === undefined ? [] : [[setting, parameters[name]]],
      ),
    ),
  }),
};
