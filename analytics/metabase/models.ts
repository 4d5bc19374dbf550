// The three models: curated tables that analysts start their own questions from, with words for every column.
import type { ModelColumn, ModelSpec } from './spec.ts';

type Row = readonly [name: string, title: string, type: ModelColumn['type'], description: string];
const columnsOf = (...rows: readonly Row[]): ModelColumn[] =>
  rows.map(([name, title, type, description]) => ({ name, title, type, description }));

const eventDate: Row = [
  'event_date',
  'Event day',
  'Date',
  'UTC day of the event time: filter on it to read few partitions',
];
const eventTime: Row = ['event_time', 'Event time', 'DateTimeWithLocalTZ', 'When it happened'];
const eventType: Row = ['event_type', 'Event type', 'Text', 'Such as exposure, plan_generated, plan_accepted'];
const unitType: Row = ['unit_type', 'Unit type', 'Text', 'What is randomized: household, user, impression'];
const unitId: Row = ['unit_id', 'Unit', 'Text', 'The unit that it happened to'];
const eventId: Row = ['event_id', 'Event id', 'UUID', 'Unique together with the event day'];
const metrics: Row = ['metrics', 'Metrics', 'JSON', 'Numbers by name'];
const context: Row = ['context', 'Context', 'JSON', 'What the sender knew: device, segment, position'];
const variantName: Row = ['variant_name', 'Variant', 'Text', 'The arm of the experiment'];
const experimentName: Row = ['experiment_name', 'Experiment name', 'Text', 'The title of the experiment'];
const policyVersion: Row = [
  'policy_version_name',
  'Policy version',
  'Text',
  'Such as planner@2; empty where the variant names none',
];
const modelName: Row = ['mlflow_model_name', 'Model', 'Text', 'Registered model behind the policy version'];
const modelVersion: Row = ['mlflow_model_version', 'Model version', 'Text', 'Its version in MLflow'];

export const models: readonly ModelSpec[] = [
  {
    key: 'model/events',
    name: 'Events',
    description:
      'Everything that happened to units, one row per event; the experiments that it belongs to are a JSON list',
    sql: 'models/events',
    columns: columnsOf(
      eventDate,
      eventTime,
      ['created_at', 'Accepted at', 'DateTimeWithLocalTZ', 'When the ingestion service took it'],
      eventType,
      unitType,
      unitId,
      eventId,
      ['producer', 'Producer', 'Text', 'Who sent it'],
      metrics,
      context,
      ['experiments', 'Experiments', 'JSON', 'Pairs of experiment and variant id'],
    ),
  },
  {
    key: 'model/metric-aggregates',
    name: 'Metric aggregates',
    description: 'Count, sum, mean and spread of each metric by variant and window: fast however many events there are',
    sql: 'models/metric-aggregates',
    columns: columnsOf(
      ['experiment_key', 'Experiment', 'Text', 'The key that commands and filters use'],
      ['iteration', 'Iteration', 'Integer', 'A restart with a new randomization has the next number'],
      experimentName,
      variantName,
      ['metric_name', 'Metric', 'Text', 'Name of the number in the events'],
      ['granularity', 'Granularity', 'Text', 'hour or day: choose one, the same events are in both'],
      ['bucket_start', 'Window start', 'DateTimeWithLocalTZ', 'Start of the hour or day, UTC, inclusive'],
      ['count', 'Count', 'BigInteger', 'Events with the metric'],
      ['sum', 'Sum', 'Float', 'Sum of the values'],
      [
        'mean',
        'Mean',
        'Float',
        'Sum divided by count; over several windows divide the sums instead of averaging means',
      ],
      ['variance', 'Variance', 'Float', 'Sample variance; empty for a single event'],
      ['min', 'Smallest', 'Float', 'Smallest value'],
      ['max', 'Largest', 'Float', 'Largest value'],
      policyVersion,
      modelName,
      modelVersion,
    ),
  },
  {
    key: 'model/events-by-policy-version',
    name: 'Events by policy version',
    description: 'One row per event and experiment, with the variant, the policy version and the model behind it',
    sql: 'models/events-by-policy-version',
    columns: columnsOf(
      eventDate,
      eventTime,
      eventType,
      unitType,
      unitId,
      eventId,
      experimentName,
      variantName,
      [
        'assignment_mismatch',
        'Contradicts assignment',
        'Boolean',
        'The event names another variant than the stored assignment: results leave it out',
      ],
      policyVersion,
      modelName,
      modelVersion,
      metrics,
      context,
    ),
  },
];
