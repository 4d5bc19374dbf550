// The filters of the dashboards, and the cards that list what can be chosen.
import type { CardSpec, FilterSpec } from './spec.ts';

const list = (name: string, title: string, column: string): CardSpec => ({
  key: `filter/${name}`,
  name: `Filter values: ${title}`,
  description: `What the filter "${title}" of the dashboards offers`,
  sql: `filters/${name}`,
  chart: { display: 'table', columns: { [column]: title } },
});

const experiments = list('experiments', 'Experiment', 'experiment_key');
const variants = list('variants', 'Variant', 'variant_name');
const policyVersions = list('policy-versions', 'Policy version', 'policy_version_name');
const metrics = list('metrics', 'Metric of events', 'metric_name');

export const filterCards: readonly CardSpec[] = [experiments, variants, policyVersions, metrics];

/** On every dashboard, and every card of it follows all of them. */
export const commonFilters: readonly FilterSpec[] = [
  {
    name: 'experiment',
    title: 'Experiment',
    type: 'text',
    source: { card: experiments, column: 'experiment_key' },
  },
  { name: 'variant', title: 'Variant', type: 'text', source: { card: variants, column: 'variant_name' } },
  {
    name: 'policy_version',
    title: 'Policy version',
    type: 'text',
    source: { card: policyVersions, column: 'policy_version_name' },
  },
  { name: 'from', title: 'From', type: 'date' },
  { name: 'to', title: 'To (inclusive)', type: 'date' },
];

/** Which metric of events a chart shows: one at a time, since their scales differ. */
export const metricFilter: FilterSpec = {
  name: 'metric',
  title: 'Metric of events',
  type: 'text',
  source: { card: metrics, column: 'metric_name' },
  default: 'accepted',
};
