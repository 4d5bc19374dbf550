// The job that freezes training rows into a dataset version.
import { plannerModelName } from '#domain/dataset/planner-dataset.ts';
import type { JobKind } from './job-kind.ts';
import { choiceParameter, instantParameter } from './job-parameters.ts';

const settingNames = {
  model: 'DATASET_MODEL',
  from: 'DATASET_FROM',
  to: 'DATASET_TO',
  'label-cutoff': 'DATASET_LABEL_CUTOFF',
} as const;

export const datasetBuildJob: JobKind = {
  name: 'dataset-build',
  title: 'freeze the training rows of a model into a dataset version; the same rows give the same version',
  parameters: {
    model: choiceParameter('model whose dataset is built', [plannerModelName]),
    from: instantParameter('only plans generated from this time on'),
    to: instantParameter('only plans generated before this time'),
    'label-cutoff': instantParameter('leave out what happened from this time on (default: the submission)'),
  },
  defaults: (now) => ({ model: plannerModelName, 'label-cutoff': now.toISOString() }),
  attempts: 5,
  program: ({ parameters }) => ({
    entry: 'workers/dataset-build/main.ts',
    args: [],
    settings: Object.fromEntries(
      Object.entries(settingNames).flatMap(([name, setting]) =>
        parameters[name] === undefined ? [] : [[setting, parameters[name]]],
      ),
    ),
  }),
};
