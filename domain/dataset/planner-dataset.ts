// Names of the planner's datasets: model, schema version, splits, columns and object keys.

import type { DatasetSplit } from './split.ts';

export const plannerModelName = 'planner';

/** Grows when a column changes its meaning, goes or comes. */
export const datasetSchemaVersion = 2;

export type DatasetColumn = {
  readonly name: string;
  readonly type: 'text' | 'timestamp';
  readonly description: string;
};

/** Columns of every file of a dataset, in order. What is JSON is canonical JSON, so equal facts are equal bytes. */
export const datasetColumns = [
  { name: 'plan_id', type: 'text', description: 'Identity of the row' },
  { name: 'generated_at', type: 'timestamp', description: 'Event time of plan_generated; rows are in this order' },
  { name: 'generated_event_id', type: 'text', description: 'The plan_generated event' },
  { name: 'household_id', type: 'text', description: 'Household of the request' },
  { name: 'requested_at', type: 'timestamp', description: 'Time of the request: domain rows are joined as of it' },
  { name: 'workflow_type', type: 'text', description: 'Workflow of the request' },
  { name: 'mode', type: 'text', description: 'Mode of the request' },
  { name: 'experiments', type: 'text', description: 'JSON: experiment and variant ids of the event' },
  { name: 'policy_version_id', type: 'text', description: 'Policy version that the variant was configured with' },
  { name: 'policy', type: 'text', description: 'JSON: the policy as the planner named it' },
  { name: 'request', type: 'text', description: 'JSON: the training input, exactly as plan_generated carried it' },
  {
    name: 'model_input',
    type: 'text',
    description: 'JSON: the words that a model reads, made from the request and the recipes of its time',
  },
  { name: 'plan', type: 'text', description: 'JSON: the plan that was shown' },
  { name: 'action_propensities', type: 'text', description: 'JSON: how each slot was filled, with propensities' },
  { name: 'reaction', type: 'text', description: 'accepted or edited; null when unknown at the label cut-off' },
  { name: 'reacted_at', type: 'timestamp', description: 'Event time of the reaction' },
  { name: 'reaction_event_id', type: 'text', description: 'The reaction event' },
  { name: 'final_plan', type: 'text', description: 'JSON: the plan as the household will cook it' },
  { name: 'edited_slots', type: 'text', description: 'JSON: slots that the household changed' },
  { name: 'enrichment', type: 'text', description: 'JSON: domain rows as of requested_at' },
  {
    name: 'enrichment_differences',
    type: 'text',
    description: 'JSON: where the domain rows differ from the request; [] when they agree',
  },
] as const satisfies readonly DatasetColumn[];

/** Object key of the first dataset of a day, or of another one of the same day. `buildDate` is YYYY-MM-DD. */
export function toDatasetKey(options: { modelName: string; buildDate: string; datasetVersion?: string }): string {
  const folder = `datasets/${options.modelName}/${options.buildDate}`;
  return options.datasetVersion === undefined
    ? `${folder}/training.parquet`
    : `${folder}/v-${options.datasetVersion}/training.parquet`;
}

/** The files of a dataset lie beside each other. */
export const splitFiles = {
  training: 'training.parquet',
  validation: 'validation.parquet',
  test: 'test.parquet',
} as const satisfies Record<DatasetSplit, string>;

/** Key of another file of the dataset whose training file has this key. */
export function toSiblingKey(datasetKey: string, file: string): string {
  return datasetKey.replace(/[^/]+$/, file);
}

export function toManifestKey(datasetKey: string): string {
  return toSiblingKey(datasetKey, 'manifest.json');
}
