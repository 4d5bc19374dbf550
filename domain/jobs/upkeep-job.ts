// The job that does what Postgres needs every day.
import type { JobKind } from './job-kind.ts';

export const upkeepJob: JobKind = {
  name: 'upkeep',
  title: 'tables of coming days, retention of event days that the archive has; run it daily',
  parameters: {},
  defaults: () => ({}),
  attempts: 5,
  program: () => ({ entry: 'ops/main.ts', args: ['upkeep', '--json'], settings: {} }),
};
