// The job that fine-tunes the planner's model and registers it; its key is the training key, so that it registers one version.
import type { JobKind, JobParameter } from './job-kind.ts';
import { choiceParameter, numberParameter, textParameter } from './job-parameters.ts';

const count = { min: 1, max: 100_000, integer: true };

/** Options of training/train_planner.py that take a value, by their name there. */
const valueOptions: Readonly<Record<string, JobParameter>> = {
  dataset: textParameter('a dataset version (64 hex digits), a folder, or an s3:// address', { required: true }),
  model: textParameter('tiny, a short name such as llama-3-8b, a hub id, or a folder (default: tiny)'),
  epochs: numberParameter('passes over the training split', count),
  'learning-rate': numberParameter('step size of the optimizer', { min: 1e-8, max: 1, integer: false }),
  'batch-size': numberParameter('plans in memory at once', count),
  'gradient-accumulation': numberParameter('batches for each step of the optimizer', count),
  'lora-rank': numberParameter('rank of the adapter', count),
  seed: numberParameter('seed of everything random', { min: 0, max: 100_000, integer: true }),
  'model-name': textParameter("name in MLflow's registry (default: planner_model)"),
};
const flags: Readonly<Record<string, JobParameter>> = {
  qlora: choiceParameter('hold the base model in 4 bits', ['yes', 'no']),
  'shuffle-targets': choiceParameter('a control: answers that say nothing', ['yes', 'no']),
};

export const trainingJob: JobKind = {
  name: 'training',
  title: "fine-tune the planner's model on a dataset and register it in MLflow",
  parameters: { ...valueOptions, ...flags },
  defaults: () => ({}),
  attempts: 2,
  checkpoint: 'checkpoint.pt',
  program: ({ key, parameters, folder, resume }) => ({
    entry: 'infra/system/train.ts',
    args: [
      ...Object.keys(valueOptions).flatMap((name) =>
        parameters[name] === undefined ? [] : [`--${name}=${parameters[name]}`],
      ),
      ...Object.keys(flags).flatMap((name) => (parameters[name] === 'yes' ? [`--${name}`] : [])),
      `--training-key=${key}`,
      `--output=${folder}`,
      ...(resume ? ['--resume'] : []),
    ],
    settings: {},
  }),
};
